//! What azure_storage_blob does with blobs, each operation once.

#[path = "../operations.rs"]
mod operations;

use std::{collections::HashMap, error::Error};

use azure_core::http::{RequestContent, Url};
use azure_identity::WorkloadIdentityCredential;
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders, BlobContainerClientListBlobsOptions, BlobTags,
    ListBlobsIncludeItem,
};
use azure_storage_blob::{BlobClient, BlobServiceClient};
use futures::TryStreamExt;
use operations::{done, run, want, Outcome};

async fn content(blob: BlobClient) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(blob.download(None).await?.body.collect().await?.to_vec())
}

async fn upload(blob: &BlobClient, bytes: &[u8]) -> Outcome {
    blob.upload(RequestContent::from(bytes.to_vec()), None).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let credential = WorkloadIdentityCredential::new(None)?;
    let url = Url::parse("https://orders.blob.core.windows.net/")?;
    let inbox = BlobServiceClient::new(url, Some(credential), None)?.blob_container_client("rust");
    let text = inbox.blob_client("a.txt");

    run("create", async {
        inbox.create(None).await?;
        Ok(())
    })
    .await;
    run("put", async {
        upload(&text, b"hello").await?;
        want(content(inbox.blob_client("a.txt")).await? == b"hello", "the content")
    })
    .await;
    run("head", async {
        want(text.get_properties(None).await?.content_length()? == Some(5), "the length")
    })
    .await;
    run("large", async {
        let big: Vec<u8> = (0..(8u32 << 20) + 7).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
        upload(&inbox.blob_client("big"), &big).await?;
        want(content(inbox.blob_client("big")).await? == big, "the content")
    })
    .await;
    run("lists", async {
        for name in ["d/1", "d/2", "f"] {
            upload(&inbox.blob_client(name), name.as_bytes()).await?;
        }
        let mut names = vec![];
        let mut pages = inbox.list_blobs(Some(BlobContainerClientListBlobsOptions {
            prefix: Some("d/".into()),
            include: Some(vec![ListBlobsIncludeItem::Metadata]),
            ..Default::default()
        }))?;
        while let Some(blob) = pages.try_next().await? {
            names.push(blob.name.unwrap_or_default());
        }
        want(names == ["d/1", "d/2"], &format!("{names:?}"))
    })
    .await;
    run("change", async {
        text.set_metadata(&HashMap::from([("k".to_string(), "2".to_string())]), None).await?;
        let metadata = text.get_properties(None).await?.metadata()?;
        want(metadata.get("k").map(String::as_str) == Some("2"), &format!("{metadata:?}"))
    })
    .await;
    run("tags", async {
        let tags: BlobTags = HashMap::from([("t".to_string(), "1".to_string())]).into();
        text.set_tags(tags.try_into()?, None).await?;
        let got: HashMap<String, String> = text.get_tags(None).await?.into_model()?.into();
        want(got.len() == 1, &format!("{got:?}"))
    })
    .await;
    run("names", async {
        let odd = "dir/a b+c%25/ü//Q?#&x.TXT";
        upload(&inbox.blob_client(odd), b"odd").await?;
        want(content(inbox.blob_client(odd)).await? == b"odd", "the content")
    })
    .await;
    run("gone", async {
        inbox.blob_client("f").delete(None).await?;
        want(!inbox.blob_client("f").exists().await?, "it is there")
    })
    .await;
    run("delete", async {
        inbox.delete(None).await?;
        Ok(())
    })
    .await;
    done()
}
