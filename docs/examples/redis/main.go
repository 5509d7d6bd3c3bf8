// Command redis keeps a text in a cache and reads it again as any Azure program does. It knows
// nothing of wiemu.
package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/redis/go-redis/v9"
)

func main() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{
		Addr: "orders.redis.cache.windows.net:6380", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		CredentialsProviderContext: func(ctx context.Context) (user, password string, err error) {
			token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://redis.azure.com/.default"}})
			if err != nil {
				return "", "", err
			}
			user, err = objectID(token.Token)
			return user, token.Token, err
		},
	})
	ctx := context.Background()
	if err := client.Set(ctx, "order-1", "two loaves of bread", 0).Err(); err != nil {
		log.Fatal(err)
	}
	text, err := client.Get(ctx, "order-1").Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
}

// objectID is the claim oid of a token: the user name.
func objectID(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("expected a token of three parts, found %d", len(parts))
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		ObjectID string `json:"oid"`
	}
	return claims.ObjectID, json.Unmarshal(body, &claims)
}
