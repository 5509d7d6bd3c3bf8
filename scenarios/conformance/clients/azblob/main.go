// Command azblob is a client of the conformance table: what azblob does with blobs, each
// operation once.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
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
)

const (
	account = "https://orders.blob.core.windows.net"
	name    = "golang"
	mib     = 1 << 20
)

func main() {
	credential := must(azidentity.NewDefaultAzureCredential(nil))
	client := must(azblob.NewClient(account, credential, nil))
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		watch(client, must(time.ParseDuration(os.Args[2]+"s")))
	}
	p := &program{credential: credential, client: client, inbox: client.ServiceClient().NewContainerClient(name)}
	p.text = p.inbox.NewBlockBlobClient("a.txt")
	for _, operation := range []struct {
		name string
		do   func(context.Context)
	}{
		{"create", p.create}, {"put", p.put}, {"head", p.head}, {"large", p.large}, {"stream", p.stream}, {"empty", p.empty}, {"part", p.part},
		{"lists", p.lists}, {"change", p.change}, {"conditions", p.conditions}, {"lease", p.lease}, {"snapshot", p.snapshot}, {"tags", p.tags},
		{"append", p.append}, {"blocks", p.blocks}, {"copy", p.copy}, {"names", p.names}, {"batch", p.batch}, {"sas", p.sas}, {"gone", p.gone}, {"delete", p.delete},
	} {
		run(operation.name, operation.do)
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// run does one operation; the first that fails ends the program.
func run(name string, do func(context.Context)) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Println(name, "failed", strings.Join(strings.Fields(fmt.Sprint(failure)), " "))
			os.Exit(1)
		}
	}()
	do(context.Background())
	fmt.Println(name, "ok")
}

type program struct {
	credential azcore.TokenCredential
	client     *azblob.Client
	inbox      *container.Client
	text       *blockblob.Client
	big        []byte
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T { check(err); return v }

func want(ok bool, found ...any) {
	if !ok {
		panic(fmt.Sprint(append([]any{"not as expected: "}, found...)...))
	}
}

// code is the service's for a call that has to fail.
func code(err error) string {
	if failed := (*azcore.ResponseError)(nil); errors.As(err, &failed) {
		return failed.ErrorCode
	}
	return fmt.Sprint(err)
}

func upload(ctx context.Context, b *blockblob.Client, text string) error {
	_, err := b.UploadBuffer(ctx, []byte(text), nil)
	return err
}

func content(ctx context.Context, b *blob.Client) string {
	r := must(b.DownloadStream(ctx, nil))
	defer r.Body.Close()
	return string(must(io.ReadAll(r.Body)))
}

func (p *program) list(ctx context.Context, o *container.ListBlobsFlatOptions) (names []string) {
	for pages := p.inbox.NewListBlobsFlatPager(o); pages.More(); {
		for _, b := range must(pages.NextPage(ctx)).Segment.BlobItems {
			names = append(names, *b.Name)
		}
	}
	return names
}

func (p *program) create(ctx context.Context) {
	must(p.inbox.Create(ctx, &container.CreateOptions{Metadata: map[string]*string{"owner": to.Ptr("me")}}))
	want(len(must(p.inbox.GetProperties(ctx, nil)).Metadata) == 1)
}

func (p *program) put(ctx context.Context) {
	must(p.text.UploadBuffer(ctx, []byte("hello"), &blockblob.UploadBufferOptions{Metadata: map[string]*string{"myKey": to.Ptr("v")}, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/plain")}}))
	want(content(ctx, p.text.BlobClient()) == "hello")
}

func (p *program) head(ctx context.Context) {
	got := must(p.text.GetProperties(ctx, nil))
	want(*got.ContentLength == 5 && *got.ContentType == "text/plain" && len(got.Metadata) == 1)
}

func (p *program) large(ctx context.Context) {
	p.big = make([]byte, 8*mib+7)
	_, _ = rand.Read(p.big)
	b := p.inbox.NewBlockBlobClient("big")
	// The whole is put at once up to 256 MiB: a stream goes in blocks.
	must(b.UploadStream(ctx, bytes.NewReader(p.big), &blockblob.UploadStreamOptions{BlockSize: mib, Concurrency: 4}))
	got := make([]byte, len(p.big))
	must(b.DownloadBuffer(ctx, got, &blob.DownloadBufferOptions{BlockSize: mib, Concurrency: 4}))
	want(bytes.Equal(got, p.big))
}

func (p *program) stream(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("stream")
	must(b.UploadStream(ctx, io.LimitReader(rand.Reader, 3_000_000), nil))
	want(*must(b.GetProperties(ctx, nil)).ContentLength == 3_000_000)
}

func (p *program) empty(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("empty")
	check(upload(ctx, b, ""))
	want(content(ctx, b.BlobClient()) == "")
}

func (p *program) part(ctx context.Context) {
	r := must(p.inbox.NewBlobClient("big").DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 100, Count: 50}}))
	defer r.Body.Close()
	want(bytes.Equal(must(io.ReadAll(r.Body)), p.big[100:150]))
}

func (p *program) lists(ctx context.Context) {
	for _, n := range []string{"d/1", "d/2", "d/e/3", "f"} {
		check(upload(ctx, p.inbox.NewBlockBlobClient(n), n))
	}
	flat := p.list(ctx, &container.ListBlobsFlatOptions{Prefix: to.Ptr("d/"), Include: container.ListBlobsInclude{Metadata: true}})
	want(slices.Equal(flat, []string{"d/1", "d/2", "d/e/3"}), flat)
	page := must(p.inbox.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: to.Ptr("d/")}).NextPage(ctx))
	want(len(page.Segment.BlobItems) == 2 && len(page.Segment.BlobPrefixes) == 1)
	want(len(p.list(ctx, &container.ListBlobsFlatOptions{MaxResults: to.Ptr(int32(2))})) >= 7)
	containers := must(p.client.NewListContainersPager(nil).NextPage(ctx)).ContainerItems
	want(slices.ContainsFunc(containers, func(c *service.ContainerItem) bool { return *c.Name == name }))
}

func (p *program) change(ctx context.Context) {
	must(p.text.SetMetadata(ctx, map[string]*string{"k": to.Ptr("2")}, nil))
	must(p.text.SetHTTPHeaders(ctx, blob.HTTPHeaders{BlobContentType: to.Ptr("text/html")}, nil))
	got := must(p.text.GetProperties(ctx, nil))
	want(*got.ContentType == "text/html" && len(got.Metadata) == 1)
}

func (p *program) conditions(ctx context.Context) {
	under := func(c blob.ModifiedAccessConditions) *blockblob.UploadBufferOptions {
		return &blockblob.UploadBufferOptions{AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &c}}
	}
	_, err := p.text.UploadBuffer(ctx, []byte("x"), under(blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}))
	want(code(err) == "BlobAlreadyExists", err)
	same := under(blob.ModifiedAccessConditions{IfMatch: must(p.text.GetProperties(ctx, nil)).ETag})
	must(p.text.UploadBuffer(ctx, []byte("y"), same))
	_, err = p.text.UploadBuffer(ctx, []byte("z"), same)
	want(code(err) == "ConditionNotMet", err)
}

func (p *program) lease(ctx context.Context) {
	held := must(lease.NewBlobClient(p.text, nil))
	must(held.AcquireLease(ctx, 15, nil))
	err := upload(ctx, p.text, "z")
	want(code(err) == "LeaseIdMissing", err)
	must(p.text.UploadBuffer(ctx, []byte("with"), &blockblob.UploadBufferOptions{AccessConditions: &blob.AccessConditions{LeaseAccessConditions: &blob.LeaseAccessConditions{LeaseID: held.LeaseID()}}}))
	must(held.RenewLease(ctx, nil))
	must(held.ReleaseLease(ctx, nil))
}

func (p *program) snapshot(ctx context.Context) {
	taken := must(p.text.CreateSnapshot(ctx, nil))
	check(upload(ctx, p.text, "new"))
	want(content(ctx, must(p.text.WithSnapshot(*taken.Snapshot)).BlobClient()) == "with")
}

func (p *program) tags(ctx context.Context) {
	must(p.text.SetTags(ctx, map[string]string{"t": "1"}, nil))
	want(len(must(p.text.GetTags(ctx, nil)).BlobTagSet) == 1)
}

func (p *program) append(ctx context.Context) {
	log := p.inbox.NewAppendBlobClient("log")
	must(log.Create(ctx, nil))
	for _, s := range []string{"1", "2"} {
		must(log.AppendBlock(ctx, body(s), nil))
	}
	want(content(ctx, log.BlobClient()) == "12")
}

func (p *program) blocks(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("blocks")
	must(b.StageBlock(ctx, "MQ==", body("AAA"), nil))
	must(b.StageBlock(ctx, "Mg==", body("BBB"), &blockblob.StageBlockOptions{TransactionalValidation: blob.TransferValidationTypeComputeCRC64()}))
	must(b.CommitBlockList(ctx, []string{"MQ==", "Mg=="}, nil))
	want(content(ctx, b.BlobClient()) == "AAABBB")
	want(len(must(b.GetBlockList(ctx, blockblob.BlockListTypeAll, nil)).CommittedBlocks) == 2)
}

func (p *program) copy(ctx context.Context) {
	b := p.inbox.NewBlockBlobClient("copy")
	want(*must(b.StartCopyFromURL(ctx, p.text.URL(), nil)).CopyStatus == "success")
	want(content(ctx, b.BlobClient()) == "new")
	token := "Bearer " + must(p.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})).Token
	b = p.inbox.NewBlockBlobClient("from-url")
	must(b.UploadBlobFromURL(ctx, p.text.URL(), &blockblob.UploadBlobFromURLOptions{CopySourceAuthorization: &token}))
	want(content(ctx, b.BlobClient()) == "new")
}

func (p *program) names(ctx context.Context) {
	const odd = "dir/a b+c%25/ü//Q?#&x.TXT"
	b := p.inbox.NewBlockBlobClient(odd)
	check(upload(ctx, b, "odd"))
	want(content(ctx, b.BlobClient()) == "odd")
	want(slices.Contains(p.list(ctx, &container.ListBlobsFlatOptions{Prefix: to.Ptr("dir/")}), odd))
}

func (p *program) batch(ctx context.Context) {
	b := must(p.inbox.NewBatchBuilder())
	for _, n := range []string{"d/1", "d/2", "none"} {
		check(b.Delete(n, nil))
	}
	answers := must(p.inbox.SubmitBatch(ctx, b, nil)).Responses
	want(len(answers) == 3 && answers[0].Error == nil && code(answers[2].Error) == "BlobNotFound", answers[2].Error)
}

func (p *program) sas(ctx context.Context) {
	now := time.Now().UTC()
	key := must(p.client.ServiceClient().GetUserDelegationCredential(ctx, service.KeyInfo{Start: to.Ptr(now.Add(-time.Minute).Format(sas.TimeFormat)), Expiry: to.Ptr(now.Add(time.Hour).Format(sas.TimeFormat))}, nil))
	signed := must(sas.BlobSignatureValues{
		Protocol: sas.ProtocolHTTPS, StartTime: now.Add(-time.Minute), ExpiryTime: now.Add(30 * time.Minute),
		Permissions: to.Ptr(sas.BlobPermissions{Read: true}).String(), ContainerName: name, BlobName: "a.txt",
	}.SignWithUserDelegation(key))
	url := p.text.URL() + "?" + signed.Encode()
	answer := must(http.Get(url)) //nolint:noctx,bodyclose // as an application would; it is closed below
	defer answer.Body.Close()
	want(string(must(io.ReadAll(answer.Body))) == "new", answer.Status)
	err := upload(ctx, must(blockblob.NewClientWithNoCredential(url, nil)), "x")
	want(code(err) == "AuthorizationPermissionMismatch", err)
}

func (p *program) gone(ctx context.Context) {
	must(p.inbox.NewBlobClient("f").Delete(ctx, nil))
	_, err := p.inbox.NewBlobClient("f").DownloadStream(ctx, nil)
	want(code(err) == "BlobNotFound", err)
}

func (p *program) delete(ctx context.Context) { must(p.inbox.Delete(ctx, nil)) }

// body is a request's that can be sent again.
func body(s string) io.ReadSeekCloser { return closer{strings.NewReader(s)} }

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// watch puts a blob every so often, and says when it was modified.
func watch(client *azblob.Client, every time.Duration) {
	inbox, lines := client.ServiceClient().NewContainerClient("inbox"), json.NewEncoder(os.Stdout)
	for n := 1; ; n++ {
		ctx, line := context.Background(), map[string]any{"ok": true, "blob": n}
		b := inbox.NewBlockBlobClient(fmt.Sprintf("day/%d", n))
		err := upload(ctx, b, "x")
		if err == nil {
			var got blob.GetPropertiesResponse
			if got, err = b.GetProperties(ctx, nil); err == nil {
				line["modified"] = got.LastModified.UTC()
			}
		}
		if err != nil {
			line = map[string]any{"ok": false, "error": err.Error()}
		}
		check(lines.Encode(line))
		time.Sleep(every)
	}
}
