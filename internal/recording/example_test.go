package recording_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/session"
)

// A session is recorded and played again, which comes to the same.
func Example() {
	ctx := context.Background()
	lab, recorder, err := recording.Start(ctx, session.Options{}, nil, recording.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lab.Close(ctx)
	resp, err := lab.Emulator().HTTPClient().Post("https://login.microsoftonline.com/common/oauth2/v2.0/token",
		"application/x-www-form-urlencoded", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()

	made, err := recorder.Recording(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := recording.Replay(ctx, made, session.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, in := range result.Inputs {
		fmt.Println(in.Request, in.Now)
	}
	fmt.Println("the same:", result.Same)
	// Output:
	// POST https://login.microsoftonline.com/common/oauth2/v2.0/token 400 AADSTS50059 invalid_request
	// the same: true
}
