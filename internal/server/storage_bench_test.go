package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// BenchmarkBlobs is one operation of azblob at a time: through the proxy, TLS and the gateway
// to the store in memory and to Azurite, and to Azurite itself, which WIEMU_AZURITE names,
// by plain HTTP and with its key. The figure to look at is the median.
func BenchmarkBlobs(b *testing.B) {
	b.Run("memory", func(b *testing.B) { blobs(b, throughTheGateway(b, map[string]any{"backend": "memory"})) })
	command := strings.Fields(os.Getenv("WIEMU_AZURITE"))
	if len(command) == 0 {
		b.Log("WIEMU_AZURITE names no Azurite: make azurite installs one")
		return
	}
	b.Run("azurite", func(b *testing.B) {
		blobs(b, throughTheGateway(b, map[string]any{"backend": "azurite", "command": command}))
	})
	b.Run("azurite_itself", func(b *testing.B) { blobs(b, azuriteItself(b, command)) })
}

// BenchmarkLabWithStorage is how long a lab with blobs and queues in memory takes to be ready
// for the first request, and to end, with keys that an earlier lab has made.
func BenchmarkLabWithStorage(b *testing.B) {
	dir := b.TempDir()
	open := func() {
		keys, err := keyring.OpenPool(dir, keyring.PoolOptions{})
		if err != nil {
			b.Fatal(err)
		}
		e, err := server.Start(b.Context(), server.Options{Config: withOrders(map[string]any{"backend": "memory"}), Options: lab.Options{Keys: keys}})
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(e.Close(b.Context()), keys.Close()); err != nil {
			b.Fatal(err)
		}
	}
	open()
	for b.Loop() {
		open()
	}
}

// BenchmarkBlobMemory is what the heap grows by for each byte that azblob has put, in blobs of
// 4 KiB, 1 MiB and, in blocks, 64 MiB: through the proxy, TLS and the gateway to the store in
// memory. The client is in this process, too.
func BenchmarkBlobMemory(b *testing.B) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // it is less
	}
	const large = 64 << 20
	big := make([]byte, large)
	_, _ = rand.Read(big) // never fails (crypto/rand)
	for b.Loop() {
		c := throughTheGateway(b, map[string]any{"backend": "memory"})
		if _, err := c.CreateContainer(b.Context(), "bench", nil); err != nil {
			b.Fatal(err)
		}
		before, put := heap(), int64(0)
		upload := func(name string, content []byte) {
			if _, err := c.UploadStream(b.Context(), "bench", name, bytes.NewReader(content), &azblob.UploadStreamOptions{BlockSize: 8 << 20, Concurrency: 4}); err != nil {
				b.Fatal(err)
			}
			put += int64(len(content))
		}
		upload("big", big)
		for n := range 32 {
			upload(fmt.Sprint("medium/", n), big[n<<20:(n+1)<<20])
		}
		for n := range 1024 {
			upload(fmt.Sprint("small/", n), big[:4<<10])
		}
		b.ReportMetric(float64(heap()-before)/float64(put), "bytes/byte")
	}
}

// withOrders is a configuration with the storage account orders.
func withOrders(storage map[string]any) config.Config {
	return config.Config{Resources: map[string]any{"storageAccounts": []any{map[string]any{"name": "orders"}}, "storage": storage}}
}

// throughTheGateway is a client of account orders of a new lab.
func throughTheGateway(b *testing.B, storage map[string]any) *azblob.Client {
	b.Helper()
	began := time.Now() // wall time, which is measured
	e, err := server.Start(b.Context(), server.Options{Config: withOrders(storage)})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("the lab is ready after %v", time.Since(began))
	b.Cleanup(func() { _ = e.Close(context.Background()) })
	if err := e.Trust(lab.Account{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}); err != nil {
		b.Fatal(err)
	}
	presented, err := assertion(b.Context(), e)
	if err != nil {
		b.Fatal(err)
	}
	reply, err := exchange(e.HTTPClient(), presented, "https://storage.azure.com/.default")
	if err != nil || reply["access_token"] == nil {
		b.Fatalf("%v %v", reply, err)
	}
	c, err := azblob.NewClient("https://orders.blob.core.windows.net", token(reply["access_token"].(string)), &azblob.ClientOptions{ClientOptions: policy.ClientOptions{Transport: e.HTTPClient()}})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// token is a credential that has one.
type token string

func (t token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil // wall time: the lab's is the same
}

// azuriteItself is a client of a new Azurite.
func azuriteItself(b *testing.B, command []string) *azblob.Client {
	b.Helper()
	secret := make([]byte, 64)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	key := base64.StdEncoding.EncodeToString(secret)
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--loose", "--blobPort", "0", "--queuePort", "0", "--tablePort", "0")...)
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS=orders:"+key)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, found := strings.CutPrefix(lines.Text(), "Azurite Blob service is successfully listening at "); found {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			shared, err := azblob.NewSharedKeyCredential("orders", key)
			if err != nil {
				b.Fatal(err)
			}
			c, err := azblob.NewClientWithSharedKeyCredential(address+"/orders", shared, nil)
			if err != nil {
				b.Fatal(err)
			}
			return c
		}
	}
	b.Fatal("Azurite does not listen")
	return nil
}

// blobs measures a client.
func blobs(b *testing.B, c *azblob.Client) {
	const large = 64 << 20
	ctx := b.Context()
	if _, err := c.CreateContainer(ctx, "bench", nil); err != nil {
		b.Fatal(err)
	}
	inbox := c.ServiceClient().NewContainerClient("bench")
	small, big, got := make([]byte, 1024), make([]byte, large), make([]byte, large)
	_, _ = rand.Read(big) // never fails (crypto/rand)
	parallel := &blockblob.UploadStreamOptions{BlockSize: 8 << 20, Concurrency: 4}
	for name, content := range map[string][]byte{"small": small, "big": big} { // what is read
		if _, err := inbox.NewBlockBlobClient(name).UploadBuffer(ctx, content, nil); err != nil {
			b.Fatal(err)
		}
	}
	for _, row := range []struct {
		name string
		size int64
		do   func(n int) error
	}{
		{"put_1_KiB", 1024, func(n int) error {
			_, err := inbox.NewBlockBlobClient(fmt.Sprint(n)).UploadBuffer(ctx, small, nil)
			return err
		}},
		{"get_1_KiB", 1024, func(int) error {
			_, err := inbox.NewBlobClient("small").DownloadBuffer(ctx, got, nil)
			return err
		}},
		{"put_64_MiB", large, func(int) error {
			_, err := inbox.NewBlockBlobClient("big").UploadStream(ctx, bytes.NewReader(big), parallel)
			return err
		}},
		{"get_64_MiB", large, func(int) error {
			_, err := inbox.NewBlobClient("big").DownloadBuffer(ctx, got, &blob.DownloadBufferOptions{BlockSize: 8 << 20, Concurrency: 4})
			if err == nil && !bytes.Equal(big, got) {
				err = errors.New("other bytes came back")
			}
			return err
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.SetBytes(row.size)
			var times []time.Duration
			for b.Loop() {
				began := time.Now() // wall time, which is measured
				if err := row.do(len(times)); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "median-ms")
		})
	}
}
