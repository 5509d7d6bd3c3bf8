package entra

import (
	"context"
	"crypto/subtle"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

func checkSecretAllowed(_ context.Context, x *exchange) result {
	f := result{expected: "an app registration", presented: kindNote(x.principal)}
	if x.principal.Kind == directory.ManagedIdentity {
		f.refusal = aadsts.SecretOfManagedIdentity(x.principal.ClientID)
	}
	return f
}

// checkSecret compares with every secret of the application, each in a time that
// does not depend on where they differ. Values never reach the journal.
func checkSecret(_ context.Context, x *exchange) result {
	f := result{expected: "the value of a secret of the application", presented: "a value"}
	sent := []byte(x.request.ClientSecret)
	for i := range x.principal.Secrets {
		own := &x.principal.Secrets[i]
		if x.request.ClientSecret == own.ID {
			f.note = "it is the secret's id, not its value"
		}
		if subtle.ConstantTimeCompare(sent, []byte(own.Value)) == 1 && (x.secret == nil || own.ValidAt(x.now)) {
			x.secret = own // of two with one value the valid one counts
		}
	}
	if x.secret == nil {
		f.refusal = aadsts.WrongSecret(x.principal.ClientID)
		if len(x.principal.Secrets) == 0 {
			f.note = "the application has no secret"
			f.refusal = aadsts.NoSecret(x.principal.ClientID, x.otherCredentials())
		}
	}
	return f
}

// otherCredentials are the kinds of credentials that the application has instead
// of a secret; "" if it has none at all.
func (x *exchange) otherCredentials() string {
	var kinds []string
	if len(x.principal.FederatedCredentials) > 0 {
		kinds = append(kinds, "a federated credential")
	}
	if len(x.principal.Certificates) > 0 {
		kinds = append(kinds, "a certificate")
	}
	return strings.Join(kinds, " and ")
}

func checkSecretTime(_ context.Context, x *exchange) result {
	f := result{expected: timeSpan(x.secret.Start, x.secret.End), presented: rfc3339(x.now)}
	switch {
	case x.secret.ValidAt(x.now):
	case x.now.Before(x.secret.Start):
		f.note, f.refusal = "the secret is not valid yet", aadsts.SecretNotYetValid(x.principal.ClientID, x.secret.Start)
	default:
		f.refusal = aadsts.ExpiredSecret(x.principal.ClientID)
	}
	return f
}
