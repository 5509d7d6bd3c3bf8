import com.azure.core.credential.TokenRequestContext;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.exception.ResourceNotFoundException;
import com.azure.identity.DefaultAzureCredential;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.security.keyvault.certificates.CertificateClient;
import com.azure.security.keyvault.certificates.CertificateClientBuilder;
import com.azure.security.keyvault.certificates.models.CertificateContact;
import com.azure.security.keyvault.certificates.models.CertificateContentType;
import com.azure.security.keyvault.certificates.models.CertificateKeyCurveName;
import com.azure.security.keyvault.certificates.models.CertificateKeyType;
import com.azure.security.keyvault.certificates.models.CertificatePolicy;
import com.azure.security.keyvault.certificates.models.CertificatePolicyAction;
import com.azure.security.keyvault.certificates.models.ImportCertificateOptions;
import com.azure.security.keyvault.certificates.models.LifetimeAction;
import com.azure.security.keyvault.certificates.models.SubjectAlternativeNames;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.io.ByteArrayInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** What azure-security-keyvault-certificates does with certificates, each operation once. */
public class Certificates {
    static final String vault = "https://mykeyvault.vault.azure.net";
    static final DefaultAzureCredential credential = new DefaultAzureCredentialBuilder().build();
    static final CertificateClient certificates = new CertificateClientBuilder().vaultUrl(vault).credential(credential).buildClient();
    static final SecretClient secrets = new SecretClientBuilder().vaultUrl(vault).credential(credential).buildClient();
    static final Duration soon = Duration.ofMillis(10);
    static byte[] pfx;

    public static void main(String[] args) throws Exception {
        // By itself first: of a token that is refused this library says NullPointerException alone.
        Operations.run("token", Certificates::token);
        Operations.run("create", Certificates::create);
        Operations.run("secret", Certificates::secret);
        Operations.run("get", Certificates::get);
        Operations.run("import", Certificates::importCertificate);
        Operations.run("bad_import", Certificates::badImport);
        Operations.run("update", Certificates::update);
        Operations.run("renew", Certificates::renew);
        Operations.run("contacts", Certificates::contacts);
        Operations.run("recover", Certificates::recover);
        Operations.run("gone", Certificates::gone);
        Operations.run("delete", Certificates::delete);
        Operations.done();
    }

    static void token() {
        credential.getTokenSync(new TokenRequestContext().addScopes("https://vault.azure.net/.default"));
    }

    static void create() throws Exception {
        var policy = new CertificatePolicy("Self", "CN=java", new SubjectAlternativeNames().setDnsNames(List.of("java.example")))
            .setKeyType(CertificateKeyType.EC).setKeyCurveName(CertificateKeyCurveName.P_256).setValidityInMonths(6)
            .setContentType(CertificateContentType.PKCS12)
            .setLifetimeActions(new LifetimeAction(CertificatePolicyAction.AUTO_RENEW).setLifetimePercentage(80));
        var poller = certificates.beginCreateCertificate("java-web", policy, true, Map.of("a", "b")).setPollInterval(soon);
        poller.waitForCompletion();
        var made = poller.getFinalResult();
        Operations.want(made.getProperties().getTags().equals(Map.of("a", "b")), made.getProperties().getTags());
        var cert = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(made.getCer()));
        Operations.want(cert.getSubjectX500Principal().getName().equals("CN=java"), cert.getSubjectX500Principal());
        Operations.want(cert.getNotAfter().toInstant().equals(made.getProperties().getExpiresOn().toInstant()), cert.getNotAfter());
    }

    static void secret() throws Exception {
        var found = secrets.getSecret("java-web");
        Operations.want(found.getProperties().getContentType().equals("application/x-pkcs12"), found.getProperties().getContentType());
        pfx = Base64.getDecoder().decode(found.getValue());
        var store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(pfx), new char[0]);
        var alias = store.aliases().nextElement();
        Operations.want(Arrays.equals(store.getCertificate(alias).getEncoded(), certificates.getCertificate("java-web").getCer()), "another certificate");
        Operations.want(store.getKey(alias, new char[0]).getAlgorithm().equals("EC"), "another key");
    }

    static void get() {
        var latest = certificates.getCertificate("java-web");
        var same = certificates.getCertificateVersion("java-web", latest.getProperties().getVersion());
        Operations.want(Arrays.equals(same.getProperties().getX509Thumbprint(), latest.getProperties().getX509Thumbprint()), same.getId());
        var names = certificates.listPropertiesOfCertificates().stream().map(c -> c.getName()).toList();
        Operations.want(names.contains("java-web"), names);
    }

    static void importCertificate() {
        var imported = certificates.importCertificate(new ImportCertificateOptions("java-imported", pfx));
        Operations.want(imported.getPolicy().getIssuerName().equals("Unknown"), imported.getPolicy().getIssuerName());
    }

    static void badImport() {
        var found = "no error";
        try {
            certificates.importCertificate(new ImportCertificateOptions("java-bad", "nothing".getBytes()));
        } catch (HttpResponseException e) {
            found = e.getMessage();
        }
        Operations.want(found.contains("BadParameter"), found);
    }

    static void update() {
        var properties = certificates.getCertificate("java-web").getProperties();
        Operations.want(!certificates.updateCertificateProperties(properties.setEnabled(false)).getProperties().isEnabled(), "enabled");
        certificates.updateCertificateProperties(properties.setEnabled(true));
        var policy = certificates.getCertificatePolicy("java-web");
        Operations.want(policy.getValidityInMonths() == 6 && policy.getSubject().equals("CN=java"), policy.getSubject());
        Operations.want(certificates.updateCertificatePolicy("java-web", policy.setValidityInMonths(3)).getValidityInMonths() == 3, "other months");
    }

    static void renew() {
        var before = certificates.getCertificate("java-web").getProperties().getVersion();
        certificates.beginCreateCertificate("java-web", certificates.getCertificatePolicy("java-web")).setPollInterval(soon).waitForCompletion();
        Operations.want(!certificates.getCertificate("java-web").getProperties().getVersion().equals(before), before);
        Operations.want(certificates.listPropertiesOfCertificateVersions("java-web").stream().count() == 2, "other versions");
    }

    static void contacts() {
        // The pages of both calls are fetched when they are read.
        certificates.setContacts(List.of(new CertificateContact().setEmail("a@example.com"))).stream().count();
        var found = certificates.listContacts().stream().map(CertificateContact::getEmail).toList();
        Operations.want(found.equals(List.of("a@example.com")), found);
        certificates.deleteContacts().stream().count();
    }

    static void recover() {
        certificates.beginDeleteCertificate("java-web").setPollInterval(soon).waitForCompletion();
        Operations.want(certificates.getDeletedCertificate("java-web").getRecoveryId() != null, "no recovery id");
        certificates.beginRecoverDeletedCertificate("java-web").setPollInterval(soon).waitForCompletion();
        Operations.want(!secrets.getSecret("java-web").getValue().isEmpty(), "no secret");
    }

    static void gone() {
        var found = "no error";
        try {
            certificates.getCertificate("java-none");
        } catch (ResourceNotFoundException e) {
            found = e.getMessage();
        }
        Operations.want(found.contains("CertificateNotFound"), found);
    }

    static void delete() {
        for (var name : List.of("java-web", "java-imported")) {
            certificates.beginDeleteCertificate(name).setPollInterval(soon).waitForCompletion();
            certificates.purgeDeletedCertificate(name);
        }
    }
}
