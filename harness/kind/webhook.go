package kind

import (
	"context"
	"fmt"
	"net/http"
)

// webhookName is what the emulator registers itself as.
const webhookName = "wiemu"

// webhookThere complains when no webhook is registered.
func webhookThere(ctx context.Context, api *apiServer) error {
	err := api.do(ctx, http.MethodGet, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"+webhookName, nil, nil)
	if err != nil {
		return fmt.Errorf("the webhook is not registered: %w", err)
	}
	return nil
}
