package azwi_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/azwi"
)

func TestSubjects(t *testing.T) {
	namespace, account, ok := azwi.ParseSubject(azwi.Subject("shop", "web-sa"))
	if !ok || namespace != "shop" || account != "web-sa" {
		t.Errorf("%q %q %v", namespace, account, ok)
	}
	for _, subject := range []string{"", "repo:org/app", "system:serviceaccount:shop", "system:serviceaccount::web-sa", "system:serviceaccount:shop:", "system:serviceaccount:a:b:c"} {
		if _, _, ok := azwi.ParseSubject(subject); ok {
			t.Errorf("%q is taken for a service account", subject)
		}
	}
}
