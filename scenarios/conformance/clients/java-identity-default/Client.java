import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.util.Scanner;

/** DefaultAzureCredential and SecretClient, with no option set. */
public class Client {
    public static void main(String[] args) {
        Scanner again = new Scanner(System.in);
        try {
            do {
                round();
            } while (again.hasNextLine() && again.nextLine() != null);
        } catch (Exception e) {
            e.printStackTrace(System.out);
            System.exit(1);
        }
        System.exit(0); // the library's threads would go on
    }

    static void round() {
        TokenCredential credential = new DefaultAzureCredentialBuilder().build();
        credential.getTokenSync(new TokenRequestContext().addScopes("https://graph.microsoft.com/.default"));
        System.out.println("graph ok");
        SecretClient client = new SecretClientBuilder()
            .vaultUrl("https://mykeyvault.vault.azure.net")
            .credential(credential)
            .buildClient();
        System.out.println("secret " + client.getSecret("mysecret").getValue());
        System.out.println("round done");
    }
}
