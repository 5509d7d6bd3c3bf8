//! azure_identity's credentials, and azure_security_keyvault_secrets, with no option set.

use std::{env, error::Error, fs, io, sync::Arc};

use azure_core::credentials::{Secret, SecretBytes, TokenCredential};
use azure_core::http::ClientMethodOptions;
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientCertificateCredential,
    ClientCertificateCredentialOptions, ClientSecretCredential, WorkloadIdentityCredential,
};
use azure_security_keyvault_secrets::SecretClient;

#[derive(Debug)]
struct TokenFile;

#[async_trait::async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(fs::read_to_string(variable("AZURE_FEDERATED_TOKEN_FILE"))?)
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn credential(kind: &str) -> Result<Arc<dyn TokenCredential>, Box<dyn Error>> {
    if kind == "federated" {
        return Ok(WorkloadIdentityCredential::new(None)?);
    }
    let (tenant, client) = (variable("AZURE_TENANT_ID"), variable("AZURE_CLIENT_ID"));
    Ok(match kind {
        "secret" => {
            let secret = Secret::new(variable("AZURE_CLIENT_SECRET"));
            ClientSecretCredential::new(&tenant, client, secret, None)?
        }
        "certificate-pfx" => {
            let certificate = SecretBytes::new(fs::read(variable("AZURE_CLIENT_CERTIFICATE_PATH"))?);
            let options = ClientCertificateCredentialOptions {
                password: Some(Secret::new(variable("AZURE_CLIENT_CERTIFICATE_PASSWORD"))),
                ..Default::default()
            };
            ClientCertificateCredential::new(tenant, client, certificate, Some(options))?
        }
        "assertion" => ClientAssertionCredential::new(tenant, client, TokenFile, None)?,
        other => return Err(format!("no credential {other}").into()),
    })
}

async fn round(kind: &str) -> Result<(), Box<dyn Error>> {
    let credential = credential(kind)?;
    credential.get_token(&["https://graph.microsoft.com/.default"], None).await?;
    println!("graph ok");
    let client = SecretClient::new("https://mykeyvault.vault.azure.net/", credential, None)?;
    let secret = client.get_secret("mysecret", None).await?.into_model()?;
    println!("secret {}", secret.value.unwrap_or_default());
    println!("round done");
    Ok(())
}

#[tokio::main]
async fn main() {
    let kind = env::args().nth(1).unwrap_or_else(|| "federated".into());
    let mut lines = io::stdin().lines();
    loop {
        if let Err(error) = round(&kind).await {
            println!("{error:?}");
            std::process::exit(1);
        }
        if lines.next().is_none() {
            return;
        }
    }
}
