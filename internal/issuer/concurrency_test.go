package issuer

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestAnIssuerServesManyWhileItsKeysChange is for the race detector. A token is
// accepted as long as its key is in the JWKS.
func TestAnIssuerServesManyWhileItsKeysChange(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	cluster, discovery := c.Cluster(admin), c.Discovery()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	client := func(once func() bool) {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !once() {
					return
				}
			}
		})
	}
	client(func() bool {
		token, err := c.Mint(t.Context(), TokenRequest{Namespace: namespace, ServiceAccount: account})
		if err != nil {
			t.Error(err)
			return false
		}
		status := c.Review(token.Raw, nil)
		if !status.Authenticated {
			t.Error(status.Error)
		}
		return status.Authenticated
	})
	client(func() bool {
		c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
		got := call(t, cluster, http.MethodPost, tokenPath, `{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-1"}}}`)
		if got.Code != http.StatusCreated {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
		return got.Code == http.StatusCreated
	})
	client(func() bool {
		c.PutServiceAccount("other", "sa", map[string]string{"a": "b"})
		list := call(t, cluster, http.MethodGet, "/api/v1/serviceaccounts", "")
		keys := ask(t, discovery, http.MethodGet, c.path+keysPath)
		if list.Code != 200 || keys.Code != 200 {
			t.Errorf("got %d and %d", list.Code, keys.Code)
		}
		return list.Code == 200 && keys.Code == 200
	})
	for range 5 {
		if _, err := c.ring.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
		c.pass(t, time.Minute)
	}
	close(stop)
	clients.Wait()
}
