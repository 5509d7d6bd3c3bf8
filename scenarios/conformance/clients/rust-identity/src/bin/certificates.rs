//! What azure_security_keyvault_certificates does with certificates, each operation once.

#[path = "../operations.rs"]
mod operations;

use std::collections::HashMap;

use azure_core::error::ErrorKind;
use azure_core::http::poller::PollerOptions;
use azure_core::http::StatusCode;
use azure_core::time::Duration;
use azure_identity::WorkloadIdentityCredential;
use azure_security_keyvault_certificates::models::{
    Certificate, CertificateAttributes, CertificateClientCreateCertificateOptions,
    CertificateClientGetCertificateOptions, CertificatePolicy, Contact, Contacts,
    CreateCertificateParameters, CurveName, ImportCertificateParameters, IssuerParameters,
    KeyProperties, KeyType, SecretProperties, SubjectAlternativeNames,
    UpdateCertificatePropertiesParameters, X509CertificateProperties,
};
use azure_security_keyvault_certificates::{CertificateClient, ResourceExt};
use azure_security_keyvault_secrets::SecretClient;
use futures::TryStreamExt;
use operations::{done, run, want, Outcome};

const VAULT: &str = "https://mykeyvault.vault.azure.net/";

async fn create(certificates: &CertificateClient, policy: CertificatePolicy) -> Outcome<Certificate> {
    let parameters = CreateCertificateParameters {
        certificate_policy: Some(policy),
        tags: Some(HashMap::from([("a".into(), "b".into())])),
        ..Default::default()
    };
    let options = CertificateClientCreateCertificateOptions {
        method_options: PollerOptions { frequency: Duration::seconds(1), ..Default::default() },
        ..Default::default()
    };
    let poller = certificates.begin_create_certificate("rust-web", parameters.try_into()?, Some(options))?;
    Ok(poller.await?.into_model()?)
}

/// Deletes a certificate, and waits until the vault has: it is not done at once.
async fn delete(certificates: &CertificateClient, name: &str) -> Outcome {
    certificates.delete_certificate(name, None).await?;
    while let Err(e) = certificates.get_deleted_certificate(name, None).await {
        if e.http_status() != Some(StatusCode::NotFound) {
            return Err(e.into());
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let credential = WorkloadIdentityCredential::new(None)?;
    let certificates = CertificateClient::new(VAULT, credential.clone(), None)?;
    let secrets = SecretClient::new(VAULT, credential, None)?;

    run("create", async {
        let policy = CertificatePolicy {
            issuer_parameters: Some(IssuerParameters { name: Some("Self".into()), ..Default::default() }),
            key_properties: Some(KeyProperties {
                key_type: Some(KeyType::Ec),
                curve: Some(CurveName::P256),
                ..Default::default()
            }),
            secret_properties: Some(SecretProperties { content_type: Some("application/x-pem-file".into()) }),
            x509_certificate_properties: Some(X509CertificateProperties {
                subject: Some("CN=rust".into()),
                subject_alternative_names: Some(SubjectAlternativeNames {
                    dns_names: Some(vec!["rust.example".into()]),
                    ..Default::default()
                }),
                validity_in_months: Some(6),
                ..Default::default()
            }),
            ..Default::default()
        };
        let made = create(&certificates, policy).await?;
        want(made.x509_thumbprint.is_some_and(|t| t.len() == 20), "the thumbprint")?;
        want(made.tags.is_some_and(|t| t["a"] == "b"), "the tags")
    })
    .await;
    run("secret", async {
        let secret = secrets.get_secret("rust-web", None).await?.into_model()?;
        want(secret.content_type.as_deref() == Some("application/x-pem-file"), "the content type")?;
        let pem = secret.value.unwrap_or_default();
        want(pem.contains("BEGIN PRIVATE KEY") && pem.contains("BEGIN CERTIFICATE"), "the PEM")
    })
    .await;
    run("get", async {
        let latest = certificates.get_certificate("rust-web", None).await?.into_model()?;
        let options = CertificateClientGetCertificateOptions {
            certificate_version: latest.resource_id()?.version,
            ..Default::default()
        };
        let same = certificates.get_certificate("rust-web", Some(options)).await?.into_model()?;
        want(same.cer == latest.cer && same.cer.is_some(), "the certificate")?;
        let mut names = vec![];
        let mut pages = certificates.list_certificate_properties(None)?;
        while let Some(certificate) = pages.try_next().await? {
            names.push(certificate.resource_id()?.name);
        }
        want(names.contains(&"rust-web".into()), &format!("{names:?}"))
    })
    .await;
    run("import", async {
        let pem = secrets.get_secret("rust-web", None).await?.into_model()?.value;
        let parameters = ImportCertificateParameters {
            base64_encoded_certificate: pem,
            certificate_policy: Some(CertificatePolicy {
                secret_properties: Some(SecretProperties { content_type: Some("application/x-pem-file".into()) }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let imported = certificates.import_certificate("rust-imported", parameters.try_into()?, None).await?.into_model()?;
        let issuer = imported.policy.and_then(|p| p.issuer_parameters).and_then(|i| i.name);
        want(issuer.as_deref() == Some("Unknown"), &format!("{issuer:?}"))
    })
    .await;
    run("update", async {
        let enabled = |enabled| UpdateCertificatePropertiesParameters {
            certificate_attributes: Some(CertificateAttributes { enabled: Some(enabled), ..Default::default() }),
            ..Default::default()
        };
        let off = certificates.update_certificate_properties("rust-web", enabled(false).try_into()?, None).await?.into_model()?;
        want(off.attributes.and_then(|a| a.enabled) == Some(false), "enabled")?;
        certificates.update_certificate_properties("rust-web", enabled(true).try_into()?, None).await?;
        Ok(())
    })
    .await;
    run("renew", async {
        let before = certificates.get_certificate("rust-web", None).await?.into_model()?;
        let policy = certificates.get_certificate_policy("rust-web", None).await?.into_model()?;
        let after = create(&certificates, policy).await?;
        want(after.x509_thumbprint != before.x509_thumbprint, "the thumbprint")?;
        let versions: Vec<_> = certificates.list_certificate_properties_versions("rust-web", None)?.try_collect().await?;
        want(versions.len() == 2, &format!("{} versions", versions.len()))
    })
    .await;
    run("contacts", async {
        let contacts = Contacts {
            contact_list: Some(vec![Contact { email: Some("a@example.com".into()), ..Default::default() }]),
            ..Default::default()
        };
        certificates.set_contacts(contacts.try_into()?, None).await?;
        let found = certificates.get_contacts(None).await?.into_model()?.contact_list.unwrap_or_default();
        want(found.len() == 1 && found[0].email.as_deref() == Some("a@example.com"), "the contacts")?;
        certificates.delete_contacts(None).await?;
        Ok(())
    })
    .await;
    run("recover", async {
        delete(&certificates, "rust-web").await?;
        certificates.recover_deleted_certificate("rust-web", None).await?;
        secrets.get_secret("rust-web", None).await?;
        Ok(())
    })
    .await;
    run("gone", async {
        match certificates.get_certificate("rust-none", None).await {
            Ok(_) => want(false, "it is there"),
            Err(e) => match e.kind() {
                ErrorKind::HttpResponse { error_code: Some(code), .. } => want(code == "CertificateNotFound", code),
                _ => Err(e.into()),
            },
        }
    })
    .await;
    run("delete", async {
        for name in ["rust-web", "rust-imported"] {
            delete(&certificates, name).await?;
            certificates.purge_deleted_certificate(name, None).await?;
        }
        Ok(())
    })
    .await;
    done()
}
