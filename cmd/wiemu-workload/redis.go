package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	goredis "github.com/redis/go-redis/v9"
)

// redisScope is what clients of Redis ask a token for.
const redisScope = "https://redis.azure.com/.default"

// How long before its token ends a connection is sent a new one, and after how long again if
// that failed.
const (
	reauthenticateBefore = 5 * time.Minute
	reauthenticateAgain  = time.Minute
)

func chooseRedis(words []string, o doing) (action, error) {
	r := &redis{scope: cmp.Or(o.scope, redisScope), reauth: o.reauth}
	switch {
	case len(words) == 4 && words[1] == "get":
		return r.do(words[2], "GET", words[3]), nil
	case len(words) == 5 && words[1] == "set":
		return r.do(words[2], "SET", words[3], words[4]), nil
	}
	return nil, errors.New("redis: expected get CACHE KEY or set CACHE KEY VALUE, with NAME of NAME.redis.cache.windows.net or NAME.REGION of NAME.REGION.redis.azure.net as CACHE")
}

// redis is one connection to a cache, which stays open over all attempts and sends no command
// a second time.
type redis struct {
	scope  string
	reauth bool // send a new token before the old one ends

	client *goredis.Client
	renews bool // reauthenticate runs

	mu      sync.Mutex
	expires time.Time // of the token that the connection was last sent
}

// login returns the user name and password of a new token.
func (r *redis) login(ctx context.Context, credential azcore.TokenCredential) (user, password string, err error) {
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{r.scope}})
	if err != nil {
		return "", "", err
	}
	var claims struct {
		ObjectID string `json:"oid"`
	}
	parts := strings.Split(token.Token, ".")
	if len(parts) != 3 {
		return "", "", errors.New("read the access token: it is no JWT")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	if err != nil {
		return "", "", fmt.Errorf("read the access token: %w", err)
	}
	r.mu.Lock()
	r.expires = token.ExpiresOn
	r.mu.Unlock()
	return claims.ObjectID, token.Token, nil
}

// reauthenticate sends the connection a new token before each ends, as long as the program runs.
func (r *redis) reauthenticate(credential azcore.TokenCredential) {
	for {
		r.mu.Lock()
		expires := r.expires
		r.mu.Unlock()
		time.Sleep(max(time.Until(expires)-reauthenticateBefore, reauthenticateAgain)) // of the application's clock
		user, password, err := r.login(context.Background(), credential)
		if err == nil {
			err = r.client.Do(context.Background(), "AUTH", user, password).Err()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "wiemu-workload: send the cache a new token: %v\n", err)
		}
	}
}

func (r *redis) do(name string, command ...any) action {
	address := net.JoinHostPort(name+".redis.cache.windows.net", "6380")
	if strings.Contains(name, ".") {
		address = net.JoinHostPort(name+".redis.azure.net", "10000")
	}
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		if r.client == nil {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return Answer{}, err
			}
			r.client = goredis.NewClient(&goredis.Options{
				Addr: address, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}, PoolSize: 1, MaxRetries: -1, ConnMaxIdleTime: -1, DialTimeout: time.Minute, ReadTimeout: time.Minute,
				CredentialsProviderContext: func(ctx context.Context) (string, string, error) { return r.login(ctx, credential) },
			})
		}
		value, err := r.client.Do(ctx, command...).Text()
		if r.reauth && !r.renews {
			r.renews = true
			go r.reauthenticate(credential)
		}
		if errors.Is(err, goredis.Nil) {
			return Answer{}, nil
		}
		return Answer{Value: value}, err
	}
}
