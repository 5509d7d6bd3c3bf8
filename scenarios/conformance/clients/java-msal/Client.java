import com.microsoft.aad.msal4j.ClientCredentialFactory;
import com.microsoft.aad.msal4j.ClientCredentialParameters;
import com.microsoft.aad.msal4j.ConfidentialClientApplication;
import com.microsoft.aad.msal4j.IAuthenticationResult;
import com.microsoft.aad.msal4j.IClientCredential;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Scanner;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Gets tokens with MSAL and one of its credentials, and reads a secret with one. */
public class Client {
    public static void main(String[] args) {
        Scanner again = new Scanner(System.in);
        try {
            do {
                round(args.length > 0 ? args[0] : "federated");
            } while (again.hasNextLine() && again.nextLine() != null);
        } catch (Exception e) {
            e.printStackTrace(System.out);
            System.exit(1);
        }
        System.exit(0); // the library's threads would go on
    }

    static IClientCredential credential(String kind) throws Exception {
        switch (kind) {
            case "secret":
                return ClientCredentialFactory.createFromSecret(System.getenv("AZURE_CLIENT_SECRET"));
            case "certificate-pfx":
                try (InputStream file = Files.newInputStream(Path.of(System.getenv("AZURE_CLIENT_CERTIFICATE_PATH")))) {
                    return ClientCredentialFactory.createFromCertificate(file, System.getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD"));
                }
            case "assertion":
                return ClientCredentialFactory.createFromCallback(() -> Files.readString(Path.of(System.getenv("AZURE_FEDERATED_TOKEN_FILE"))));
            default:
                return ClientCredentialFactory.createFromClientAssertion(Files.readString(Path.of(System.getenv("AZURE_FEDERATED_TOKEN_FILE"))));
        }
    }

    static void round(String kind) throws Exception {
        ConfidentialClientApplication application = ConfidentialClientApplication
            .builder(System.getenv("AZURE_CLIENT_ID"), credential(kind))
            .authority(System.getenv("AZURE_AUTHORITY_HOST") + System.getenv("AZURE_TENANT_ID"))
            .build();
        token(application, "https://graph.microsoft.com/.default");
        System.out.println("graph ok");
        System.out.println("secret " + secret(token(application, "https://vault.azure.net/.default")));
        System.out.println("round done");
    }

    static String token(ConfidentialClientApplication application, String scope) throws Exception {
        IAuthenticationResult result = application.acquireToken(ClientCredentialParameters.builder(Set.of(scope)).build()).get();
        return result.accessToken();
    }

    static String secret(String token) throws IOException {
        URI uri = URI.create("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4");
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        connection.setRequestProperty("Authorization", "Bearer " + token);
        try (InputStream body = connection.getInputStream()) {
            String answer = new String(body.readAllBytes(), StandardCharsets.UTF_8);
            Matcher value = Pattern.compile("\"value\":\"([^\"]*)\"").matcher(answer);
            if (!value.find()) {
                throw new IOException(answer);
            }
            return value.group(1);
        }
    }
}
