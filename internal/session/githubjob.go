package session

import (
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/workload"
)

// JobAccess says how a job of GitHub Actions gets its token, and to which subscription it deploys.
type JobAccess struct {
	githubjob.Access
	Subscription string `json:"subscription,omitempty"` // the first of the job's tenant; "": there is none
}

// checkJob refuses what only pods have.
func checkJob(d workload.Spec) error {
	var what string
	switch {
	case githubjob.Is(d.GitHubJob):
		what = d.GitHubJob.Repository + " is a job of GitHub Actions, which has tokens of its own alone"
	case serviceconnection.Is(d.ServiceConnection):
		what = d.ServiceConnection.Name + " is a service connection of Azure DevOps, which has tokens of its own alone"
	default:
		return nil
	}
	for _, f := range []struct{ field, value string }{
		{"managed-identity", d.ManagedIdentity}, {"identity-binding", d.IdentityBinding}, {"credential", strings.TrimPrefix(d.Credential, config.Federated)},
	} {
		if f.value != "" {
			return refuseField(f.field, "%s %s: expected nothing, as %s", f.field, f.value, what)
		}
	}
	if d.TokenLifetime != 0 {
		return refuseField("token-lifetime", "token lifetime %v: expected none, as %s", d.TokenLifetime, what)
	}
	return nil
}

// admitJob admits a workload that is a job of GitHub Actions: it has an endpoint instead of a token file.
func (l *Session) admitJob(w *Workload, d workload.Spec, tenant string, from *issuer.Issuer) (*Workload, error) {
	access, err := l.emulator.NewJob(d.GitHubJob, d.Issuer)
	if err != nil {
		return nil, err
	}
	w.Env = l.environment(w, tenant)
	w.Env.GitHubJob = &JobAccess{Access: access, Subscription: l.subscriptionOf(tenant)}
	return w, l.admit(w, d, from)
}

// admit keeps a workload that has no token file.
func (l *Session) admit(w *Workload, d workload.Spec, from *issuer.Issuer) error {
	w.home.Store(&home{issuer: from})
	if err := l.makeConfigDir(); err != nil {
		return err
	}
	l.workloads[key(d)] = w
	return nil
}

// subscriptionOf returns the first subscription of a tenant; "" if it has none.
func (l *Session) subscriptionOf(tenant string) string {
	for _, s := range l.emulator.Config().Subscriptions {
		if s.Tenant == tenant {
			return s.ID
		}
	}
	return ""
}

// environ returns the variables by which a job asks for its token, GitHub's and those of
// Terraform's azurerm, and of those that a workflow sets by itself those of Terraform.
// Source: hashicorp/terraform-provider-azurerm, internal/provider/provider.go.
func (j JobAccess) environ(clientID, tenant string) []string {
	env := []string{
		"ACTIONS_ID_TOKEN_REQUEST_URL=" + j.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + j.Token,
		"ARM_OIDC_REQUEST_URL=" + j.URL, "ARM_OIDC_REQUEST_TOKEN=" + j.Token,
		"ARM_USE_OIDC=true", "ARM_TENANT_ID=" + tenant,
	}
	if clientID != "" {
		env = append(env, "ARM_CLIENT_ID="+clientID)
	}
	if j.Subscription != "" {
		env = append(env, "ARM_SUBSCRIPTION_ID="+j.Subscription, "AZURE_SUBSCRIPTION_ID="+j.Subscription)
	}
	return env
}
