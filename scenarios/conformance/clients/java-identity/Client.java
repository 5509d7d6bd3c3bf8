import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.ClientAssertionCredentialBuilder;
import com.azure.identity.ClientCertificateCredentialBuilder;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.identity.WorkloadIdentityCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Scanner;

/** The credentials of azure-identity and SecretClient, with no option set. */
public class Client {
    public static void main(String[] args) {
        try {
            String kind = args.length > 0 ? args[0] : "federated";
            if (kind.equals("watch")) {
                watch(Long.parseLong(args[1]));
            }
            Scanner again = new Scanner(System.in);
            do {
                String secret = read(credential(kind));
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

    static TokenCredential credential(String kind) {
        String tenant = System.getenv("AZURE_TENANT_ID"), client = System.getenv("AZURE_CLIENT_ID");
        String file = System.getenv("AZURE_CLIENT_CERTIFICATE_PATH");
        switch (kind) {
            case "secret":
                return new ClientSecretCredentialBuilder().tenantId(tenant).clientId(client)
                    .clientSecret(System.getenv("AZURE_CLIENT_SECRET")).build();
            case "certificate":
                return new ClientCertificateCredentialBuilder().tenantId(tenant).clientId(client).pemCertificate(file).build();
            case "certificate-chain":
                return new ClientCertificateCredentialBuilder().tenantId(tenant).clientId(client).pemCertificate(file)
                    .sendCertificateChain(true).build();
            case "certificate-pfx":
                return new ClientCertificateCredentialBuilder().tenantId(tenant).clientId(client).pfxCertificate(file)
                    .clientCertificatePassword(System.getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")).build();
            case "assertion":
                return new ClientAssertionCredentialBuilder().tenantId(tenant).clientId(client).clientAssertion(() -> {
                    try {
                        return Files.readString(Path.of(System.getenv("AZURE_FEDERATED_TOKEN_FILE")));
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                }).build();
            default:
                return new WorkloadIdentityCredentialBuilder().build();
        }
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
