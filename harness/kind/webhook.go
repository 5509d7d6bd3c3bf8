package kind

import (
	"context"
	"fmt"

	"github.com/wiemu/wiemu/harness/cluster"
)

// webhookName is what the emulator registers itself as.
const webhookName = "wiemu"

// webhookThere complains when no webhook is registered.
func webhookThere(ctx context.Context, api *cluster.Client) error {
	err := api.Get(ctx, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"+webhookName, nil)
	if err != nil {
		return fmt.Errorf("the webhook is not registered: %w", err)
	}
	return nil
}
