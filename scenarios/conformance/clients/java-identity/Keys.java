import com.azure.core.exception.ResourceNotFoundException;
import com.azure.identity.DefaultAzureCredential;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.JsonWebKey;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyRotationLifetimeAction;
import com.azure.security.keyvault.keys.models.KeyRotationPolicy;
import com.azure.security.keyvault.keys.models.KeyRotationPolicyAction;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** What azure-security-keyvault-keys does with keys, each operation once. */
public class Keys {
    static final DefaultAzureCredential credential = new DefaultAzureCredentialBuilder().build();
    static final KeyClient keys = new KeyClientBuilder().vaultUrl("https://mykeyvault.vault.azure.net").credential(credential).buildClient();
    static final byte[] plain = "0123456789abcdef".getBytes();

    public static void main(String[] args) throws Exception {
        Operations.run("create", Keys::create);
        Operations.run("get", Keys::get);
        Operations.run("encrypt", Keys::encrypt);
        Operations.run("wrap", Keys::wrap);
        Operations.run("sign", Keys::sign);
        Operations.run("rotate", Keys::rotate);
        Operations.run("policy", Keys::policy);
        Operations.run("import", Keys::importKey);
        Operations.run("update", Keys::update);
        Operations.run("backup", Keys::backup);
        Operations.run("recover", Keys::recover);
        Operations.run("gone", Keys::gone);
        Operations.run("delete", Keys::delete);
        Operations.done();
    }

    static CryptographyClient crypto(KeyVaultKey key) {
        return new CryptographyClientBuilder().keyIdentifier(key.getId()).credential(credential).buildClient();
    }

    static void create() {
        var rsa = keys.createRsaKey(new CreateRsaKeyOptions("java-rsa").setKeySize(2048).setTags(Map.of("team", "blue")));
        Operations.want(rsa.getKey().getN().length == 256 && rsa.getProperties().getTags().equals(Map.of("team", "blue")), rsa.getProperties().getTags());
        var ec = keys.createEcKey(new CreateEcKeyOptions("java-ec").setCurveName(KeyCurveName.P_384));
        Operations.want(ec.getKey().getCurveName().equals(KeyCurveName.P_384), ec.getKey().getCurveName());
    }

    static void get() {
        var key = keys.getKey("java-rsa");
        var same = keys.getKey("java-rsa", key.getProperties().getVersion());
        Operations.want(same.getId().equals(key.getId()), same.getId());
        var names = keys.listPropertiesOfKeys().stream().map(k -> k.getName()).toList();
        Operations.want(names.containsAll(List.of("java-rsa", "java-ec")), names);
    }

    static void encrypt() {
        // The client encrypts by itself with the public part, and decrypts in the vault.
        var client = crypto(keys.getKey("java-rsa"));
        for (var algorithm : List.of(EncryptionAlgorithm.RSA_OAEP, EncryptionAlgorithm.RSA_OAEP_256, EncryptionAlgorithm.RSA1_5)) {
            var sealed = client.encrypt(algorithm, plain).getCipherText();
            Operations.want(Arrays.equals(client.decrypt(algorithm, sealed).getPlainText(), plain), algorithm);
        }
    }

    static void wrap() {
        var client = crypto(keys.getKey("java-rsa"));
        var wrapped = client.wrapKey(KeyWrapAlgorithm.RSA_OAEP_256, plain).getEncryptedKey();
        Operations.want(Arrays.equals(client.unwrapKey(KeyWrapAlgorithm.RSA_OAEP_256, wrapped).getKey(), plain), "another key");
    }

    static void sign() throws Exception {
        signs("java-rsa", SignatureAlgorithm.RS256, "SHA-256");
        signs("java-rsa", SignatureAlgorithm.PS256, "SHA-256");
        signs("java-ec", SignatureAlgorithm.ES384, "SHA-384");
    }

    static void signs(String key, SignatureAlgorithm algorithm, String hash) throws Exception {
        var client = crypto(keys.getKey(key));
        var digest = MessageDigest.getInstance(hash).digest(plain);
        Operations.want(client.verify(algorithm, digest, client.sign(algorithm, digest).getSignature()).isValid(), algorithm);
    }

    static void rotate() {
        var before = keys.getKey("java-rsa");
        var sealed = crypto(before).encrypt(EncryptionAlgorithm.RSA_OAEP, plain).getCipherText();
        var after = keys.rotateKey("java-rsa");
        Operations.want(!after.getProperties().getVersion().equals(before.getProperties().getVersion()), "the same version");
        Operations.want(keys.listPropertiesOfKeyVersions("java-rsa").stream().count() == 2, "other versions");
        Operations.want(Arrays.equals(crypto(before).decrypt(EncryptionAlgorithm.RSA_OAEP, sealed).getPlainText(), plain), "another text");
    }

    static void policy() {
        var action = new KeyRotationLifetimeAction(KeyRotationPolicyAction.ROTATE).setTimeAfterCreate("P30D");
        keys.updateKeyRotationPolicy("java-ec", new KeyRotationPolicy().setLifetimeActions(List.of(action)).setExpiresIn("P90D"));
        var policy = keys.getKeyRotationPolicy("java-ec");
        Operations.want(policy.getExpiresIn().equals("P90D") && policy.getLifetimeActions().get(0).getTimeAfterCreate().equals("P30D"), policy.getExpiresIn());
    }

    static void importKey() throws Exception {
        var generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        var jwk = JsonWebKey.fromRsa(generator.generateKeyPair());
        var key = keys.importKey("java-imported", jwk);
        Operations.want(key.getKeyType().equals(KeyType.RSA) && Arrays.equals(key.getKey().getN(), jwk.getN()), key.getKeyType());
    }

    static void update() {
        var properties = keys.getKey("java-ec").getProperties().setEnabled(false).setTags(Map.of("a", "b"));
        var key = keys.updateKeyProperties(properties);
        Operations.want(!key.getProperties().isEnabled() && key.getProperties().getTags().equals(Map.of("a", "b")), key.getProperties().getTags());
    }

    static void backup() {
        var blob = keys.backupKey("java-imported");
        remove("java-imported");
        Operations.want(keys.restoreKeyBackup(blob).getName().equals("java-imported"), "another name");
    }

    static void recover() {
        keys.beginDeleteKey("java-rsa").setPollInterval(Duration.ofMillis(10)).waitForCompletion();
        Operations.want(keys.getDeletedKey("java-rsa").getRecoveryId() != null, "no recovery id");
        keys.beginRecoverDeletedKey("java-rsa").setPollInterval(Duration.ofMillis(10)).waitForCompletion();
        Operations.want(keys.getKey("java-rsa").getName().equals("java-rsa"), "another name");
    }

    static void gone() {
        var found = "no error";
        try {
            keys.getKey("java-none");
        } catch (ResourceNotFoundException e) {
            found = e.getMessage();
        }
        Operations.want(found.contains("KeyNotFound"), found);
    }

    static void delete() {
        List.of("java-rsa", "java-ec", "java-imported").forEach(Keys::remove);
    }

    static void remove(String name) {
        keys.beginDeleteKey(name).setPollInterval(Duration.ofMillis(10)).waitForCompletion();
        keys.purgeDeletedKey(name);
    }
}
