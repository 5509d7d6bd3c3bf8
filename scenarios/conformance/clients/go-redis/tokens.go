package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/redis/go-redis/v9/auth"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

// tokens is an auth.StreamingCredentialsProvider: it asks for a new token before the last one
// expires, and has all connections authenticate with it.
type tokens struct {
	credential *azidentity.DefaultAzureCredential

	mu        sync.Mutex
	last      auth.Credentials
	listeners map[auth.CredentialsListener]bool
}

func newTokens() *tokens {
	return &tokens{credential: round.Must(azidentity.NewDefaultAzureCredential(nil)), listeners: map[auth.CredentialsListener]bool{}}
}

// Subscribe implements auth.StreamingCredentialsProvider.
func (t *tokens) Subscribe(l auth.CredentialsListener) (auth.Credentials, auth.UnsubscribeFunc, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		first, err := t.ask(context.Background())
		if err != nil {
			return nil, nil, err
		}
		t.last = credentials(first)
		go t.renew(first)
	}
	t.listeners[l] = true
	return t.last, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.listeners, l)
		return nil
	}, nil
}

// ask returns a token: a new one if the last is about to expire.
func (t *tokens) ask(ctx context.Context) (azcore.AccessToken, error) {
	return t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default"}})
}

// renew asks for a token four minutes before the last expires: azidentity returns the one that it
// has until five minutes before.
func (t *tokens) renew(last azcore.AccessToken) {
	for {
		time.Sleep(time.Until(last.ExpiresOn.Add(-4 * time.Minute)))
		next, err := t.ask(context.Background())
		if err != nil {
			t.each(func(l auth.CredentialsListener) { l.OnError(err) })
			return
		}
		last = next
		t.publish(next)
	}
}

// publish hands a token to each connection.
func (t *tokens) publish(token azcore.AccessToken) {
	made := credentials(token)
	t.each(func(l auth.CredentialsListener) { l.OnNext(made) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = made
}

func (t *tokens) each(do func(auth.CredentialsListener)) {
	t.mu.Lock()
	all := slices.Collect(maps.Keys(t.listeners))
	t.mu.Unlock()
	for _, l := range all {
		do(l)
	}
}

// credentials are a token with its claim oid, the user name.
func credentials(token azcore.AccessToken) auth.Credentials {
	var claims struct {
		ObjectID string `json:"oid"`
	}
	round.ReadClaims(token.Token, &claims)
	return auth.NewBasicCredentials(claims.ObjectID, token.Token)
}
