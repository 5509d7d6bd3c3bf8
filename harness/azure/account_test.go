package azure_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
)

// The storage account of a Go test: what is in it, and who may use it.
func TestAStorageAccount(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	orders := lab.Storage("orders")
	orders.Put("inbox", "dir/hello 1.txt", "hello")
	if orders.URL != accountURL+"/" {
		t.Errorf("URL %s", orders.URL)
	}
	web, ctx := lab.Workload("shop/web-sa"), t.Context()
	c := blobs(t, lab, web)
	read := func() (string, error) {
		r, err := c.DownloadStream(ctx, "inbox", "dir/hello 1.txt", nil)
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		return string(text), err
	}
	if got, err := read(); got != "hello" || err != nil {
		t.Fatalf("open to everybody: %q, %v", got, err)
	}
	orders.Grant(lab.Workload("shop/worker-sa"), "Storage Blob Data Contributor")
	if _, err := read(); !bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch) {
		t.Fatalf("another one has a role: %v", err)
	}
	for range 2 { // it is idempotent
		orders.Grant(web, "Storage Blob Data Reader")
	}
	if got, err := read(); got != "hello" || err != nil {
		t.Fatalf("a reader: %q, %v", got, err)
	}
	if _, err := c.UploadBuffer(ctx, "inbox", "new", []byte("x"), nil); !bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch) {
		t.Fatalf("a reader writes: %v", err)
	}
	orders.Grant(web, "Storage Blob Data Contributor")
	if _, err := c.UploadBuffer(ctx, "inbox", "new", []byte("written"), nil); err != nil {
		t.Fatal(err)
	}
	if got := orders.Blob("inbox", "new"); got != "written" {
		t.Errorf("the owner reads %q", got)
	}
	orders.Put("inbox", "new", "again")
	if got := lab.Storage("orders").Blob("inbox", "new"); got != "again" {
		t.Errorf("put over it: %q", got)
	}
}

// A service puts a blob each hour for 26 hours: its role and its tokens last, and what it
// put is in the account.
func TestAStorageAccountOfADayInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t)
		orders, web := lab.Storage("orders"), lab.Workload("shop/web-sa")
		orders.Put("inbox", "hello.txt", "hello")
		orders.Grant(web, "Storage Blob Data Contributor")
		c := blobs(t, lab, web)
		for hour := range 26 {
			if _, err := c.UploadBuffer(t.Context(), "inbox", fmt.Sprint("day/", hour), []byte(time.Now().Format(time.DateTime)), nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		lab.Journal().Never(journal.Event{Outcome: journal.Denied})
		if got, want := orders.Blob("inbox", "day/25"), time.Now().Add(-time.Hour).Format(time.DateTime); got != want {
			t.Errorf("the last one says %s, %s expected", got, want)
		}
	})
}
