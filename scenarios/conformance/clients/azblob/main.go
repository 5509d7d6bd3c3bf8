// Command azblob is a client of the conformance table: what azblob does with blobs, each
// operation once.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

const (
	account = "https://orders.blob.core.windows.net"
	name    = "golang"
	mib     = 1 << 20
)

func main() {
	credential := round.Must(azidentity.NewDefaultAzureCredential(nil))
	client := round.Must(azblob.NewClient(account, credential, nil))
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		watch(client, os.Args[2])
	}
	p := &program{credential: credential, client: client, inbox: client.ServiceClient().NewContainerClient(name)}
	p.text = p.inbox.NewBlockBlobClient("a.txt")
	round.Play([]round.Operation{
		{Name: "create", Do: p.create}, {Name: "put", Do: p.put}, {Name: "head", Do: p.head}, {Name: "large", Do: p.large},
		{Name: "stream", Do: p.stream}, {Name: "empty", Do: p.empty}, {Name: "part", Do: p.part}, {Name: "lists", Do: p.lists},
		{Name: "change", Do: p.change}, {Name: "conditions", Do: p.conditions}, {Name: "lease", Do: p.lease},
		{Name: "snapshot", Do: p.snapshot}, {Name: "tags", Do: p.tags}, {Name: "append", Do: p.append},
		{Name: "blocks", Do: p.blocks}, {Name: "copy", Do: p.copy}, {Name: "names", Do: p.names}, {Name: "batch", Do: p.batch},
		{Name: "sas", Do: p.sas}, {Name: "gone", Do: p.gone}, {Name: "delete", Do: p.delete},
	})
}

type program struct {
	credential azcore.TokenCredential
	client     *azblob.Client
	inbox      *container.Client
	text       *blockblob.Client
	big        []byte
}

func upload(ctx context.Context, b *blockblob.Client, text string) error {
	_, err := b.UploadBuffer(ctx, []byte(text), nil)
	return err
}

func content(ctx context.Context, b *blob.Client) string {
	r := round.Must(b.DownloadStream(ctx, nil))
	defer r.Body.Close()
	return string(round.Must(io.ReadAll(r.Body)))
}

func (p *program) list(ctx context.Context, o *container.ListBlobsFlatOptions) (names []string) {
	for pages := p.inbox.NewListBlobsFlatPager(o); pages.More(); {
		for _, b := range round.Must(pages.NextPage(ctx)).Segment.BlobItems {
			names = append(names, *b.Name)
		}
	}
	return names
}

func (p *program) create(ctx context.Context) {
	round.Must(p.inbox.Create(ctx, &container.CreateOptions{Metadata: map[string]*string{"owner": to.Ptr("me")}}))
	round.Want(len(round.Must(p.inbox.GetProperties(ctx, nil)).Metadata) == 1)
}

func (p *program) put(ctx context.Context) {
	round.Must(p.text.UploadBuffer(ctx, []byte("hello"), &blockblob.UploadBufferOptions{Metadata: map[string]*string{"myKey": to.Ptr("v")}, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/plain")}}))
	round.Want(content(ctx, p.text.BlobClient()) == "hello")
}

func (p *program) head(ctx context.Context) {
	got := round.Must(p.text.GetProperties(ctx, nil))
	round.Want(*got.ContentLength == 5 && *got.ContentType == "text/plain" && len(got.Metadata) == 1)
}

func (p *program) large(ctx context.Context) {
	p.big = make([]byte, 8*mib+7)
	_, _ = rand.Read(p.big)
	b := p.inbox.NewBlockBlobClient("big")
	// The whole is put at once up to 256 MiB: a stream goes in blocks.
	round.Must(b.UploadStream(ctx, bytes.NewReader(p.big), &blockblob.UploadStreamOptions{BlockSize: mib, Concurrency: 4}))
	got := make([]byte, len(p.big))
	round.Must(b.DownloadBuffer(ctx, got, &blob.DownloadBufferOptions{BlockSize: mib, Concurrency: 4}))
	round.Want(bytes.Equal(got, p.big))
}

func (p *program) stream(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("stream")
	round.Must(b.UploadStream(ctx, io.LimitReader(rand.Reader, 3_000_000), nil))
	round.Want(*round.Must(b.GetProperties(ctx, nil)).ContentLength == 3_000_000)
}

func (p *program) empty(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("empty")
	round.Check(upload(ctx, b, ""))
	round.Want(content(ctx, b.BlobClient()) == "")
}

func (p *program) part(ctx context.Context) {
	r := round.Must(p.inbox.NewBlobClient("big").DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 100, Count: 50}}))
	defer r.Body.Close()
	round.Want(bytes.Equal(round.Must(io.ReadAll(r.Body)), p.big[100:150]))
}

func (p *program) lists(ctx context.Context) {
	for _, n := range []string{"d/1", "d/2", "d/e/3", "f"} {
		round.Check(upload(ctx, p.inbox.NewBlockBlobClient(n), n))
	}
	flat := p.list(ctx, &container.ListBlobsFlatOptions{Prefix: to.Ptr("d/"), Include: container.ListBlobsInclude{Metadata: true}})
	round.Want(slices.Equal(flat, []string{"d/1", "d/2", "d/e/3"}), flat)
	page := round.Must(p.inbox.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: to.Ptr("d/")}).NextPage(ctx))
	round.Want(len(page.Segment.BlobItems) == 2 && len(page.Segment.BlobPrefixes) == 1)
	round.Want(len(p.list(ctx, &container.ListBlobsFlatOptions{MaxResults: to.Ptr(int32(2))})) >= 7)
	containers := round.Must(p.client.NewListContainersPager(nil).NextPage(ctx)).ContainerItems
	round.Want(slices.ContainsFunc(containers, func(c *service.ContainerItem) bool { return *c.Name == name }))
}

func (p *program) change(ctx context.Context) {
	round.Must(p.text.SetMetadata(ctx, map[string]*string{"k": to.Ptr("2")}, nil))
	round.Must(p.text.SetHTTPHeaders(ctx, blob.HTTPHeaders{BlobContentType: to.Ptr("text/html")}, nil))
	got := round.Must(p.text.GetProperties(ctx, nil))
	round.Want(*got.ContentType == "text/html" && len(got.Metadata) == 1)
}

func (p *program) conditions(ctx context.Context) {
	under := func(c blob.ModifiedAccessConditions) *blockblob.UploadBufferOptions {
		return &blockblob.UploadBufferOptions{AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &c}}
	}
	_, err := p.text.UploadBuffer(ctx, []byte("x"), under(blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}))
	round.RefusedAs("BlobAlreadyExists", err)
	same := under(blob.ModifiedAccessConditions{IfMatch: round.Must(p.text.GetProperties(ctx, nil)).ETag})
	round.Must(p.text.UploadBuffer(ctx, []byte("y"), same))
	_, err = p.text.UploadBuffer(ctx, []byte("z"), same)
	round.RefusedAs("ConditionNotMet", err)
}

func (p *program) lease(ctx context.Context) {
	held := round.Must(lease.NewBlobClient(p.text, nil))
	round.Must(held.AcquireLease(ctx, 15, nil))
	err := upload(ctx, p.text, "z")
	round.RefusedAs("LeaseIdMissing", err)
	round.Must(p.text.UploadBuffer(ctx, []byte("with"), &blockblob.UploadBufferOptions{AccessConditions: &blob.AccessConditions{LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: held.LeaseID()}}}))
	round.Must(held.RenewLease(ctx, nil))
	round.Must(held.ReleaseLease(ctx, nil))
}

func (p *program) snapshot(ctx context.Context) {
	taken := round.Must(p.text.CreateSnapshot(ctx, nil))
	round.Check(upload(ctx, p.text, "new"))
	round.Want(content(ctx, round.Must(p.text.WithSnapshot(*taken.Snapshot)).BlobClient()) == "with")
}

func (p *program) tags(ctx context.Context) {
	round.Must(p.text.SetTags(ctx, map[string]string{"t": "1"}, nil))
	round.Want(len(round.Must(p.text.GetTags(ctx, nil)).BlobTagSet) == 1)
}

func (p *program) append(ctx context.Context) {
	log := p.inbox.NewAppendBlobClient("log")
	round.Must(log.Create(ctx, nil))
	for _, s := range []string{"1", "2"} {
		round.Must(log.AppendBlock(ctx, body(s), nil))
	}
	round.Want(content(ctx, log.BlobClient()) == "12")
}

func (p *program) blocks(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("blocks")
	round.Must(b.StageBlock(ctx, "MQ==", body("AAA"), nil))
	round.Must(b.StageBlock(ctx, "Mg==", body("BBB"), &blockblob.StageBlockOptions{TransactionalValidation: blob.TransferValidationTypeComputeCRC64()}))
	round.Must(b.CommitBlockList(ctx, []string{"MQ==", "Mg=="}, nil))
	round.Want(content(ctx, b.BlobClient()) == "AAABBB")
	round.Want(len(round.Must(b.GetBlockList(ctx, blockblob.BlockListTypeAll, nil)).CommittedBlocks) == 2)
}

func (p *program) copy(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("copy")
	round.Want(*round.Must(b.StartCopyFromURL(ctx, p.text.URL(), nil)).CopyStatus == "success")
	round.Want(content(ctx, b.BlobClient()) == "new")
	token := "Bearer " + round.Must(p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})).Token
	b = p.inbox.NewBlockBlobClient("from-url")
	round.Must(b.UploadBlobFromURL(ctx, p.text.URL(), &blockblob.UploadBlobFromURLOptions{CopySourceAuthorization: &token}))
	round.Want(content(ctx, b.BlobClient()) == "new")
}

func (p *program) names(ctx context.Context) {
	const odd = "dir/a b+c%25/ü//Q?#&x.TXT"
	b := p.inbox.NewBlockBlobClient(odd)
	round.Check(upload(ctx, b, "odd"))
	round.Want(content(ctx, b.BlobClient()) == "odd")
	round.Want(slices.Contains(p.list(ctx, &container.ListBlobsFlatOptions{Prefix: to.Ptr("dir/")}), odd))
}

func (p *program) batch(ctx context.Context) {
	b := round.Must(p.inbox.NewBatchBuilder())
	for _, n := range []string{"d/1", "d/2", "none"} {
		round.Check(b.Delete(n, nil))
	}
	answers := round.Must(p.inbox.SubmitBatch(ctx, b, nil)).Responses
	round.Want(len(answers) == 3 && answers[0].Error == nil, answers)
	round.RefusedAs("BlobNotFound", answers[2].Error)
}

func (p *program) sas(ctx context.Context) {
	now := time.Now().UTC()
	key := round.Must(p.client.ServiceClient().GetUserDelegationCredential(ctx, service.KeyInfo{Start: to.Ptr(now.Add(-time.Minute).Format(sas.TimeFormat)), Expiry: to.Ptr(now.Add(time.Hour).Format(sas.TimeFormat))}, nil))
	signed := round.Must(sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPS, StartTime: now.Add(-time.Minute), ExpiryTime: now.Add(30 * time.Minute),
		Permissions: to.Ptr(sas.BlobPermissions{Read: true}).String(), ContainerName: name, BlobName: "a.txt",
	}.SignWithUserDelegation(key))
	url := p.text.URL() + "?" + signed.Encode()
	answer := round.Must(http.Get(url)) //nolint:noctx,bodyclose // as an application would; it is closed below
	defer answer.Body.Close()
	round.Want(string(round.Must(io.ReadAll(answer.Body))) == "new", answer.Status)
	err := upload(ctx, round.Must(blockblob.NewClientWithNoCredential(url, nil)), "x")
	round.RefusedAs("AuthorizationPermissionMismatch", err)
}

func (p *program) gone(ctx context.Context) {
	round.Must(p.inbox.NewBlobClient("f").Delete(ctx, nil))
	_, err := p.inbox.NewBlobClient("f").DownloadStream(ctx, nil)
	round.RefusedAs("BlobNotFound", err)
}

func (p *program) delete(ctx context.Context) { round.Must(p.inbox.Delete(ctx, nil)) }

// body is a request's that can be sent again.
func body(s string) io.ReadSeekCloser { return closer{strings.NewReader(s)} }

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// watch puts a blob every so often, and says when it was modified.
func watch(client *azblob.Client, seconds string) {
	inbox, n := client.ServiceClient().NewContainerClient("inbox"), 0
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		n++
		b := inbox.NewBlockBlobClient(fmt.Sprintf("day/%d", n))
		round.Check(upload(ctx, b, "x"))
		line["blob"], line["modified"] = n, round.Must(b.GetProperties(ctx, nil)).LastModified.UTC()
	})
}
