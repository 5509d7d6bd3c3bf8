package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// tokens are faults of the access tokens that Entra ID gives out.
func tokens() []Kind {
	selects := []string{selectClient, selectIssuer, selectKid, selectResource, selectWorkload}
	return []Kind{
		{
			Name: faultkind.ExpiredToken, Point: faultkind.AtToken, Selects: selects,
			Summary:     "the access token that is given out has expired already",
			Description: "Its exp lies in the past, while expires_in says what it always says, so that the client keeps it; each resource refuses it with 401.",
			Parameters:  []Parameter{{Name: "ago", Type: TypeDuration, Default: "1h", Description: "how long ago the token expired, in lab time"}},
			Example:     "expired-token --for client=CLIENT-ID --count 1 ago=1h",
		},
		{
			Name: faultkind.NotYetValidToken, Point: faultkind.AtToken, Selects: selects,
			Summary:     "the access token that is given out is not valid yet",
			Description: "Its nbf lies in the future, as when Entra ID's clock is ahead of the resource's; the resource refuses it with 401 until then.",
			Parameters:  []Parameter{{Name: "ahead", Type: TypeDuration, Default: "15m", Description: "in how long the token becomes valid, in lab time; resources allow for five minutes"}},
			Example:     "not-yet-valid-token --count 1 ahead=15m",
		},
		{
			Name: faultkind.ExpiresInString, Point: faultkind.AtToken, Selects: selects,
			Summary:     "the member expires_in is a string and not a number",
			Description: "The v1 endpoint and IMDS write numbers as strings; here the v2 endpoint does, too. A client that decodes expires_in strictly fails.",
			Example:     "expires-in-string",
		},
	}
}
