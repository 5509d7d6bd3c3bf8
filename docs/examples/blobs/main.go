// Command blobs keeps a blob and reads it again as any Azure program does. It knows nothing
// of wiemu.
package main

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

func main() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := azblob.NewClient("https://orders.blob.core.windows.net", credential, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := client.UploadBuffer(ctx, "inbox", "order-1", []byte("two loaves of bread"), nil); err != nil {
		log.Fatal(err)
	}
	blob, err := client.DownloadStream(ctx, "inbox", "order-1", nil)
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(blob.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", text)
}
