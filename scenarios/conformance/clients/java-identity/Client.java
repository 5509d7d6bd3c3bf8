import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.WorkloadIdentityCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.util.Scanner;

/** WorkloadIdentityCredential and SecretClient, with no option set. */
public class Client {
    public static void main(String[] args) {
        try {
            if (args.length > 0) {
                watch(Long.parseLong(args[1]));
            }
            Scanner again = new Scanner(System.in);
            do {
                String secret = read(new WorkloadIdentityCredentialBuilder().build());
                System.out.println("graph ok");
                System.out.println("secret " + secret);
                System.out.println("round done");
            } while (again.hasNextLine() && again.nextLine() != null);
        } catch (Exception e) {
            e.printStackTrace(System.out);
            System.exit(1);
        }
        System.exit(0); // the library's threads would go on
    }

    static void watch(long every) throws InterruptedException {
        TokenCredential credential = new WorkloadIdentityCredentialBuilder().build();
        while (true) {
            String line;
            try {
                line = "{\"ok\":true,\"secret\":\"" + read(credential) + "\"}";
            } catch (Exception e) {
                line = "{\"ok\":false,\"error\":\"" + e.toString().replaceAll("[^ !#-\\[\\]-~]+", " ") + "\"}";
            }
            System.out.println(line);
            Thread.sleep(1000 * every);
        }
    }

    static String read(TokenCredential credential) {
        credential.getTokenSync(new TokenRequestContext().addScopes("https://graph.microsoft.com/.default"));
        SecretClient client = new SecretClientBuilder()
            .vaultUrl("https://mykeyvault.vault.azure.net")
            .credential(credential)
            .buildClient();
        return client.getSecret("mysecret").getValue();
    }
}
