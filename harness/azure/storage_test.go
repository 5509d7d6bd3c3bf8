package azure_test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Storage compares MD5
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/appendblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/azure"
)

const accountURL = "https://orders.blob.core.windows.net"

// withOrders is a lab with the storage account orders.
func withOrders(access ...map[string]any) harness.Option {
	account := map[string]any{"name": "orders", "containers": map[string]any{"inbox": map[string]any{"hello.txt": "hello"}}}
	if access != nil {
		account["access"] = access
	}
	return harness.WithConfig(config.Config{Resources: map[string]any{"storageAccounts": []any{account}}})
}

func blobs(t *testing.T, lab *harness.Lab, pod *harness.Pod) *azblob.Client {
	t.Helper()
	c, err := azblob.NewClient(accountURL, azure.Credential(t, lab, pod), &azblob.ClientOptions{ClientOptions: azure.ClientOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An unmodified client does what programs do with blobs.
func TestBlobs(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, withOrders())
	c, ctx := blobs(t, lab, lab.Workload("shop/web-sa")), t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := c.CreateContainer(ctx, "work", nil)
	must("create container", err)
	if _, err := c.CreateContainer(ctx, "work", nil); !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		t.Errorf("create it again: %v", err)
	}

	const name = "dir/a b+c%25/ü//Q?#&x.TXT"
	_, err = c.UploadBuffer(ctx, "work", name, []byte("hello"), &azblob.UploadBufferOptions{Metadata: map[string]*string{"a": ptr("1")}})
	must("upload", err)
	large := make([]byte, 9<<20)
	for i := range large {
		large[i] = byte(rand.IntN(256)) //nolint:gosec // any bytes do
	}
	_, err = c.UploadStream(ctx, "work", "large", io.MultiReader(bytes.NewReader(large)), &azblob.UploadStreamOptions{BlockSize: 2 << 20, Concurrency: 3})
	must("upload in blocks", err)
	back := make([]byte, len(large))
	n, err := c.DownloadBuffer(ctx, "work", "large", back, &azblob.DownloadBufferOptions{BlockSize: 1 << 20, Concurrency: 3})
	if err != nil || int(n) != len(large) || !bytes.Equal(back, large) {
		t.Errorf("download in ranges: %d %v", n, err)
	}
	if _, err := c.DownloadBuffer(ctx, "work", name, back[:5], nil); err != nil || string(back[:5]) != "hello" {
		t.Errorf("download: %q %v", back[:5], err)
	}
	var names []string
	for pages := c.NewListBlobsFlatPager("work", &azblob.ListBlobsFlatOptions{MaxResults: ptr(int32(1))}); pages.More(); {
		page, err := pages.NextPage(ctx)
		must("list", err)
		for _, item := range page.Segment.BlobItems {
			names = append(names, *item.Name)
		}
	}
	if !slices.Equal(names, []string{name, "large"}) {
		t.Errorf("listed %q", names)
	}

	work := c.ServiceClient().NewContainerClient("work")
	properties, err := work.NewBlobClient(name).GetProperties(ctx, nil)
	must("properties", err)
	if *properties.ContentLength != 5 || len(properties.Metadata) != 1 {
		t.Errorf("%+v", properties)
	}
	if _, err := work.NewBlobClient("none").GetProperties(ctx, nil); !bloberror.HasCode(err, bloberror.BlobNotFound) {
		t.Errorf("HEAD of what is not there: %v", err)
	}
	sum := md5.Sum([]byte("x")) //nolint:gosec // as above
	_, err = work.NewBlockBlobClient("sum").UploadBuffer(ctx, []byte("x"), nil)
	must("upload", err)
	must("append", func() error {
		log := work.NewAppendBlobClient("log")
		if _, err := log.Create(ctx, nil); err != nil {
			return err
		}
		_, err := log.AppendBlock(ctx, body("x"), &appendblob.AppendBlockOptions{TransactionalValidation: blob.TransferValidationTypeMD5(sum[:])})
		return err
	}())
	holder, err := lease.NewBlobClient(work.NewBlobClient("sum"), nil)
	must("lease", err)
	_, err = holder.AcquireLease(ctx, 60, nil)
	must("acquire a lease", err)
	if _, err := work.NewBlobClient("sum").Delete(ctx, nil); !bloberror.HasCode(err, bloberror.LeaseIDMissing) {
		t.Errorf("delete what is leased: %v", err)
	}
	lab.Clock().Advance(2 * time.Minute)
	_, err = work.NewBlobClient("sum").Delete(ctx, nil)
	must("delete when the lease has ended", err)
	_, err = work.NewBlobClient("copy").CopyFromURL(ctx, work.NewBlobClient("large").URL(), nil)
	must("copy", err)

	batch, err := c.ServiceClient().NewBatchBuilder()
	must("batch", err)
	must("batch", batch.Delete("work", "log", nil))
	must("batch", batch.Delete("work", "copy", nil))
	answers, err := c.ServiceClient().SubmitBatch(ctx, batch, nil)
	must("batch", err)
	for _, a := range answers.Responses {
		if a.Error != nil {
			t.Errorf("batch: %v", a.Error)
		}
	}
	_, err = c.DeleteContainer(ctx, "work", nil)
	must("delete container", err)
}

// A SAS of a user delegation key is made and used by the SDK itself.
func TestUserDelegationSAS(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, withOrders())
	now := lab.Clock().Now()
	c := blobs(t, lab, lab.Workload("shop/web-sa"))
	key, err := c.ServiceClient().GetUserDelegationCredential(t.Context(), service.KeyInfo{Start: ptr(now.Format(sas.TimeFormat)), Expiry: ptr(now.Add(time.Hour).Format(sas.TimeFormat))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	query, err := sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPS, StartTime: now.Add(-time.Minute), ExpiryTime: now.Add(time.Hour), ContainerName: "inbox", BlobName: "hello.txt",
		Permissions: (&sas.BlobPermissions{Read: true}).String(), ContentDisposition: "attachment",
	}.SignWithUserDelegation(key)
	if err != nil {
		t.Fatal(err)
	}
	anybody, err := blob.NewClientWithNoCredential(accountURL+"/inbox/hello.txt?"+query.Encode(), &blob.ClientOptions{ClientOptions: azure.ClientOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	read, err := anybody.DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(read.Body); string(text) != "hello" || *read.ContentDisposition != "attachment" {
		t.Errorf("read %q %v", text, read.ContentDisposition)
	}
	if _, err := anybody.Delete(t.Context(), nil); !bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch) {
		t.Errorf("delete: %v", err)
	}
	lab.Clock().Advance(2 * time.Hour)
	if _, err := anybody.GetProperties(t.Context(), nil); !bloberror.HasCode(err, bloberror.AuthenticationFailed) {
		t.Errorf("two hours later: %v", err)
	}
}

// Without a role an application is refused, and the journal says which.
func TestBlobsWithoutARole(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, withOrders(map[string]any{"identity": "*", "roles": []string{"Contributor"}}))
	_, err := blobs(t, lab, lab.Workload("shop/web-sa")).DownloadStream(t.Context(), "inbox", "hello.txt", nil)
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden || refused.ErrorCode != string(bloberror.AuthorizationPermissionMismatch) {
		t.Fatalf("%v", err)
	}
	e := lab.Journal().Await(journal.Event{Kind: journal.Access, Outcome: journal.Denied, Error: "AuthorizationPermissionMismatch"})
	if !strings.Contains(e.Remedy, "Storage Blob Data Reader") || !strings.Contains(e.Meaning, "opens none of the data") {
		t.Errorf("%s %s", e.Meaning, e.Remedy)
	}
}

// A program that writes a blob each hour lives 26 hours in a bubble.
func TestBlobsLiveThroughADayInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t, withOrders())
		c := blobs(t, lab, lab.Workload("shop/web-sa"))
		for hour := range 26 {
			if _, err := c.UploadBuffer(t.Context(), "inbox", fmt.Sprintf("hour-%d", hour), []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		lab.Journal().Never(journal.Event{Outcome: journal.Denied})
	})
}

// A throttled account is tried again, as a real one.
func TestThrottledBlobs(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, withOrders())
	lab.Inject("throttled,for.resource=storage,when.count=2,retry-after=0s")
	options := azure.ClientOptions(lab)
	options.Retry = policy.RetryOptions{RetryDelay: time.Millisecond}
	c, err := azblob.NewClient(accountURL, azure.Credential(t, lab, lab.Workload("shop/web-sa")), &azblob.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	for pages := c.NewListContainersPager(nil); pages.More(); {
		if _, err := pages.NextPage(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lab.Journal().Await(journal.Event{Kind: journal.Access, Outcome: journal.Denied, Error: "ServerBusy", Status: http.StatusServiceUnavailable})
}

func ptr[T any](v T) *T { return &v }

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

func body(text string) io.ReadSeekCloser { return closer{bytes.NewReader([]byte(text))} }
