package main

import (
	"context"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// linked reads a blob by a link that it made when it was asked first, as those do who were given
// it. The link is signed with a user delegation key of its maker's, and each has an end of its own.
func linked(account, container, name string, linkLives, keyLives time.Duration) action {
	link := ""
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		if link == "" {
			made, err := makeLink(ctx, credential, account, container, name, linkLives, keyLives)
			if err != nil {
				return Answer{}, err
			}
			link = made
		}
		client, err := blob.NewClientWithNoCredential(link, nil)
		if err != nil {
			return Answer{}, err
		}
		found, err := client.DownloadStream(ctx, nil)
		if err != nil {
			return Answer{}, err
		}
		defer found.Body.Close()
		text, err := io.ReadAll(found.Body)
		return Answer{Value: string(text)}, err
	}
}

func makeLink(ctx context.Context, credential azcore.TokenCredential, account, container, name string, linkLives, keyLives time.Duration) (string, error) {
	at := blobURL(account)
	client, err := service.NewClient(at, credential, nil)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC() // the application's clock
	key, err := client.GetUserDelegationCredential(ctx, service.KeyInfo{
		Start: to.Ptr(now.Format(sas.TimeFormat)), Expiry: to.Ptr(now.Add(keyLives).Format(sas.TimeFormat)),
	}, nil)
	if err != nil {
		return "", err
	}
	query, err := sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPS, StartTime: now, ExpiryTime: now.Add(linkLives),
		Permissions: (&sas.BlobPermissions{Read: true}).String(), ContainerName: container, BlobName: name,
	}.SignWithUserDelegation(key)
	if err != nil {
		return "", err
	}
	return at + container + "/" + url.PathEscape(name) + "?" + query.Encode(), nil
}

// leaseLives is how long a lease is taken for. Storage permits 15 to 60 seconds, or for good.
const leaseLives = 60 * time.Second

// leased writes a blob with a lease that it took when it was asked first, as leaders do; with
// renew it renews the lease before.
func leased(account, container, name, text string, renew bool) action {
	var held *lease.BlobClient
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := blockblob.NewClient(blobURL(account)+container+"/"+url.PathEscape(name), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		switch {
		case held == nil:
			taking, err := lease.NewBlobClient(client, nil)
			if err != nil {
				return Answer{}, err
			}
			if _, err := taking.AcquireLease(ctx, int32(leaseLives.Seconds()), nil); err != nil {
				return Answer{}, err
			}
			held = taking
		case renew:
			if _, err := held.RenewLease(ctx, nil); err != nil {
				return Answer{}, err
			}
		}
		put, err := client.Upload(ctx, streaming.NopCloser(strings.NewReader(text)), &blockblob.UploadOptions{
			AccessConditions: &blob.AccessConditions{LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: held.LeaseID()}},
		})
		if err != nil {
			return Answer{}, err
		}
		return Answer{Version: string(*put.ETag)}, nil
	}
}

func blobURL(account string) string { return "https://" + account + ".blob.core.windows.net/" }
