package containers_test

import (
	"slices"
	"testing"

	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/workload"
)

func TestDirectoriesOfTokens(t *testing.T) {
	spec := func(account, client string) workload.Spec {
		return workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: account, ClientID: client}}
	}
	got := containers.TokenPaths([]workload.Spec{spec("web-sa", "1"), spec("web-sa", "2"), spec("web-sa", "1"), spec("db-sa", "1"), spec("web-sa", "3"), spec("web-sa", "2")})
	want := []string{"/lab/tokens/shop_web-sa", "/lab/tokens/shop_web-sa_2", "/lab/tokens/shop_web-sa", "/lab/tokens/shop_db-sa", "/lab/tokens/shop_web-sa_3", "/lab/tokens/shop_web-sa_2"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
