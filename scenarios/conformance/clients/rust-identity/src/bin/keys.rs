//! What azure_security_keyvault_keys does with keys, each operation once.

#[path = "../operations.rs"]
mod operations;

use std::collections::HashMap;

use azure_core::error::ErrorKind;
use azure_core::http::StatusCode;
use azure_identity::WorkloadIdentityCredential;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, EncryptionAlgorithm, KeyAttributes, KeyClientGetKeyOptions,
    KeyOperationParameters, KeyRotationPolicy, KeyRotationPolicyAction, KeyRotationPolicyAttributes,
    KeyType, LifetimeAction, LifetimeActionTrigger, LifetimeActionType, RestoreKeyParameters,
    SignParameters, SignatureAlgorithm, UpdateKeyPropertiesParameters, VerifyParameters,
};
use azure_security_keyvault_keys::{KeyClient, ResourceExt};
use futures::TryStreamExt;
use operations::{done, run, want, Outcome};

const PLAIN: &[u8] = b"0123456789abcdef";

/// The latest version of a key.
async fn version(keys: &KeyClient, name: &str) -> Outcome<String> {
    let key = keys.get_key(name, None).await?.into_model()?;
    Ok(key.resource_id()?.version.unwrap_or_default())
}

/// Deletes a key, and waits until the vault has: it is not done at once.
async fn delete(keys: &KeyClient, name: &str) -> Outcome {
    keys.delete_key(name, None).await?;
    while let Err(e) = keys.get_deleted_key(name, None).await {
        if e.http_status() != Some(StatusCode::NotFound) {
            return Err(e.into());
        }
    }
    Ok(())
}

async fn purge(keys: &KeyClient, name: &str) -> Outcome {
    delete(keys, name).await?;
    keys.purge_deleted_key(name, None).await?;
    Ok(())
}

async fn signs(keys: &KeyClient, name: &str, algorithm: SignatureAlgorithm) -> Outcome {
    let digest = vec![7; 32]; // of some text
    let parameters = SignParameters { algorithm: Some(algorithm.clone()), value: Some(digest.clone()) };
    let signed = keys.sign(name, parameters.try_into()?, None).await?.into_model()?;
    let parameters = VerifyParameters {
        algorithm: Some(algorithm),
        digest: Some(digest),
        signature: signed.result.clone(),
    };
    let version = signed.resource_id()?.version.unwrap_or_default();
    let verified = keys.verify(name, &version, parameters.try_into()?, None).await?.into_model()?;
    want(verified.value == Some(true), "the signature")
}

#[tokio::main]
async fn main() -> Outcome {
    let credential = WorkloadIdentityCredential::new(None)?;
    let keys = KeyClient::new("https://mykeyvault.vault.azure.net/", credential, None)?;

    run("create", async {
        let rsa = CreateKeyParameters {
            kty: Some(KeyType::Rsa),
            key_size: Some(2048),
            tags: Some(HashMap::from([("team".into(), "blue".into())])),
            ..Default::default()
        };
        let key = keys.create_key("rust-rsa", rsa.try_into()?, None).await?.into_model()?;
        want(key.key.and_then(|k| k.n).map(|n| n.len()) == Some(256), "the modulus")?;
        let ec = CreateKeyParameters {
            kty: Some(KeyType::Ec),
            curve: Some(CurveName::P256),
            ..Default::default()
        };
        let key = keys.create_key("rust-ec", ec.try_into()?, None).await?.into_model()?;
        want(key.key.and_then(|k| k.crv) == Some(CurveName::P256), "the curve")
    })
    .await;
    run("get", async {
        let options = KeyClientGetKeyOptions {
            key_version: Some(version(&keys, "rust-rsa").await?),
            ..Default::default()
        };
        let key = keys.get_key("rust-rsa", Some(options)).await?.into_model()?;
        want(key.tags.is_some_and(|t| t["team"] == "blue"), "the tags")?;
        let mut names = vec![];
        let mut pages = keys.list_key_properties(None)?;
        while let Some(key) = pages.try_next().await? {
            names.push(key.resource_id()?.name);
        }
        want(names.contains(&"rust-rsa".into()) && names.contains(&"rust-ec".into()), &format!("{names:?}"))
    })
    .await;
    run("encrypt", async {
        for algorithm in [EncryptionAlgorithm::Rsa1_5, EncryptionAlgorithm::RsaOaep, EncryptionAlgorithm::RsaOaep256] {
            let mut parameters = KeyOperationParameters {
                algorithm: Some(algorithm),
                value: Some(PLAIN.into()),
                ..Default::default()
            };
            let sealed = keys.encrypt("rust-rsa", parameters.clone().try_into()?, None).await?.into_model()?;
            let version = sealed.resource_id()?.version.unwrap_or_default();
            parameters.value = sealed.result;
            let opened = keys.decrypt("rust-rsa", &version, parameters.try_into()?, None).await?.into_model()?;
            want(opened.result.as_deref() == Some(PLAIN), "the text")?;
        }
        Ok(())
    })
    .await;
    run("wrap", async {
        let mut parameters = KeyOperationParameters {
            algorithm: Some(EncryptionAlgorithm::RsaOaep256),
            value: Some(PLAIN.into()),
            ..Default::default()
        };
        let wrapped = keys.wrap_key("rust-rsa", parameters.clone().try_into()?, None).await?.into_model()?;
        let before = wrapped.resource_id()?.version.unwrap_or_default();
        keys.rotate_key("rust-rsa", None).await?;
        want(version(&keys, "rust-rsa").await? != before, "the version")?;
        parameters.value = wrapped.result;
        let opened = keys.unwrap_key("rust-rsa", &before, parameters.try_into()?, None).await?.into_model()?;
        want(opened.result.as_deref() == Some(PLAIN), "the key")
    })
    .await;
    run("sign", async {
        signs(&keys, "rust-rsa", SignatureAlgorithm::Rs256).await?;
        signs(&keys, "rust-rsa", SignatureAlgorithm::Ps256).await?;
        signs(&keys, "rust-ec", SignatureAlgorithm::Es256).await
    })
    .await;
    run("policy", async {
        let policy = KeyRotationPolicy {
            attributes: Some(KeyRotationPolicyAttributes { expiry_time: Some("P90D".into()), ..Default::default() }),
            lifetime_actions: Some(vec![LifetimeAction {
                action: Some(LifetimeActionType { type_prop: Some(KeyRotationPolicyAction::Rotate) }),
                trigger: Some(LifetimeActionTrigger { time_after_create: Some("P30D".into()), ..Default::default() }),
            }]),
            ..Default::default()
        };
        keys.update_key_rotation_policy("rust-rsa", policy.try_into()?, None).await?;
        let policy = keys.get_key_rotation_policy("rust-rsa", None).await?.into_model()?;
        want(policy.attributes.and_then(|a| a.expiry_time).as_deref() == Some("P90D"), "the expiry")
    })
    .await;
    run("update", async {
        let parameters = UpdateKeyPropertiesParameters {
            key_attributes: Some(KeyAttributes { enabled: Some(false), ..Default::default() }),
            ..Default::default()
        };
        let key = keys.update_key_properties("rust-ec", parameters.try_into()?, None).await?.into_model()?;
        want(key.attributes.and_then(|a| a.enabled) == Some(false), "enabled")
    })
    .await;
    run("backup", async {
        let backup = keys.backup_key("rust-ec", None).await?.into_model()?;
        purge(&keys, "rust-ec").await?;
        let parameters = RestoreKeyParameters { key_backup: backup.value };
        let key = keys.restore_key(parameters.try_into()?, None).await?.into_model()?;
        want(key.resource_id()?.name == "rust-ec", "the name")
    })
    .await;
    run("recover", async {
        delete(&keys, "rust-rsa").await?;
        keys.recover_deleted_key("rust-rsa", None).await?;
        want(!version(&keys, "rust-rsa").await?.is_empty(), "the version")
    })
    .await;
    run("gone", async {
        match keys.get_key("rust-none", None).await {
            Ok(_) => want(false, "it is there"),
            Err(e) => match e.kind() {
                ErrorKind::HttpResponse { error_code: Some(code), .. } => want(code == "KeyNotFound", code),
                _ => Err(e.into()),
            },
        }
    })
    .await;
    run("delete", async {
        purge(&keys, "rust-rsa").await?;
        purge(&keys, "rust-ec").await
    })
    .await;
    done()
}
