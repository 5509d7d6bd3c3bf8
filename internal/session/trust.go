package session

import (
	"context"
	"fmt"
	"slices"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/workload"
)

// keepsItsTrust is the rule for which identities a session does not change: one that exists,
// or that was removed at run time, keeps its own federated credentials, since its owners
// decide whom it trusts. A workload that was declared is the exception, since its owners
// would have set up that trust. An identity that never existed is created and trusts the
// workload, or it would be of no use.
func (l *Session) keepsItsTrust(d workload.Spec, tenant string) bool {
	_, exists := l.emulator.Directory().Principal(tenant, d.ClientID)
	if l.emulator.Directory().Removed(tenant, d.ClientID) {
		return true
	}
	return exists && !slices.ContainsFunc(l.declared, isSame(d))
}

// Declare creates the service accounts of workloads and the trust in them, without
// running them: in a cluster they would all be deployed. It is idempotent; what is declared again
// is from then on as it was declared last, such as the vaults that it mounts.
func (l *Session) Declare(all []workload.Spec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.declared)
	for _, d := range all {
		l.introduce(d)
		if i := slices.IndexFunc(l.declared, isSame(d)); i >= 0 {
			if i < before { // of two that are the same in all, the first counts
				l.declared[i] = d
			}
			continue
		}
		if err := l.establishTrust(context.Background(), d, d.Audience); err != nil {
			return err
		}
		l.declared = append(l.declared, d)
	}
	return nil
}

// TrustPod establishes the trust in a workload whose pods run in a cluster, where the
// kubelet writes the token file, by the rule of [Session.Workload]. It reports whether it
// did: an identity may keep its own trust, and the workload may have no client id. The
// issuer may be an external one, which is the cluster's own.
func (l *Session) TrustPod(_ context.Context, d workload.Spec) (established bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := kubename.CheckAccount(d.Namespace, d.ServiceAccount); err != nil {
		return false, err
	}
	tenant, err := l.emulator.Tenant(d.Tenant)
	if err != nil {
		return false, err
	}
	l.introduce(d)
	if d.ClientID != "" && l.keepsItsTrust(d, tenant) {
		return false, nil
	}
	return d.ClientID != "", l.emulator.Trust(trusted(d))
}

// trust establishes the trust in a workload that is admitted, unless its identity keeps
// its own; then only the service account is created.
func (l *Session) trust(ctx context.Context, d workload.Spec, tenant string, from *issuer.Issuer) error {
	if config.OfApplication(d.Credential) || !l.keepsItsTrust(d, tenant) {
		return l.establishTrust(ctx, d, "")
	}
	if d.OwnIssuer() != "" {
		return nil
	}
	if err := kubename.CheckAccount(d.Namespace, d.ServiceAccount); err != nil {
		return err
	}
	from.PutServiceAccount(d.Namespace, d.ServiceAccount, nil)
	return nil
}

// establishTrust creates what lets a workload use its identity: a federated credential for
// an audience, which defaults to the cloud's, an identity binding, or only the app
// registration where it has a secret or certificate.
func (l *Session) establishTrust(ctx context.Context, d workload.Spec, audience string) error {
	trusted := trusted(d)
	switch {
	case config.OfApplication(d.Credential):
		return l.emulator.Register(trusted)
	case d.IdentityBinding != "":
		return l.emulator.BindIdentity(ctx, trusted)
	}
	trusted.Audience = audience
	return l.emulator.Trust(trusted)
}

// introduce sets the name by which the journal calls the workload.
func (l *Session) introduce(d workload.Spec) {
	l.emulator.Introduce(d.Namespace, d.ServiceAccount, d.ClientID, d.Component)
}

// isSame reports whether another workload has the same service account and identity.
func isSame(d workload.Spec) func(workload.Spec) bool {
	return func(other workload.Spec) bool { return trusted(d) == trusted(other) }
}

// key tells admitted workloads apart.
func key(d workload.Spec) string {
	return fmt.Sprint(d.Namespace, "/", d.ServiceAccount, " ", d.ClientID, " ", d.TokenOptions, " ", d.GitHubJob, " ", d.ServiceConnection)
}

// trusted is the workload as the emulator knows it, but for the audience: the audience of
// a token and that of the federated credential are the same only where a file declares both.
func trusted(d workload.Spec) lab.Account {
	subject := ""
	if d.OwnIssuer() != "" {
		subject = d.Subject()
	}
	return lab.Account{
		Subject: subject, ByEntra: serviceconnection.OfEntra(d.ServiceConnection),
		Name: d.CredentialName(), Identity: d.IdentityName(), Application: d.Application, Namespace: d.Namespace, ServiceAccount: d.ServiceAccount,
		ClientID: d.ClientID, Tenant: d.Tenant, Issuer: d.Issuer,
	}
}
