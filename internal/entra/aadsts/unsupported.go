package aadsts

// notEmitted returns, for every code that no constructor makes, why not. The codes are
// in the catalogue because real clients meet them.
func notEmitted() map[int]string {
	const (
		otherGrant  = "It belongs to another grant than client_credentials."
		agoEntra    = "Entra ID does not give it any more."
		noText      = "Nobody has published when Entra ID gives it and in which words."
		noPolicies  = "wiemu has no tenant policies."
		faultOfLoad = "It depends on the load of the real service."
	)
	return map[int]string{
		7000218: otherGrant,
		28000:   otherGrant,
		28002:   otherGrant,
		28003:   otherGrant,
		50013:   otherGrant,
		70021:   agoEntra,
		50048:   agoEntra + " 700021 stands in its place.",
		7002121: "A wrong audience of Entra ID's own tokens is told with 700212.",
		7002137: "wiemu has no agent identities.",
		700214:  noText,
		700227:  noText,
		700263:  noText,
		700229:  "wiemu's Entra ID gives no tokens to users.",
		700223:  noPolicies,
		700238:  noPolicies,
		7002381: noPolicies,
		53003:   "wiemu has no Conditional Access policies.",
		90006:   faultOfLoad + " 90033 stands for such failures.",
		50033:   faultOfLoad + " 90033 stands for such failures.",
		900432:  "Sign-in logs have this number; clients get 900382.",
	}
}
