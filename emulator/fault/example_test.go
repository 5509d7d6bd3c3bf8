package fault_test

import (
	"fmt"

	"github.com/wiemu/wiemu/emulator/fault"
)

// Entra ID answers 429 to the second and third token request of one client.
func ExampleParse() {
	f, err := fault.Parse("throttled,retry-after=3s,for.resource=entra,for.client=web,when.nth=2,when.count=2")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Name, f.Parameters["retry-after"], f.For.Client, f.When.Nth, f.When.Count)
	fmt.Println(f)

	_, err = fault.Parse("throtled")
	fmt.Println(err)
	// Output:
	// throttled 3s web 2 2
	// throttled retry-after=3s --for client=web --for resource=entra --nth 2 --count 2
	// name: expected the name of a fault, which wiemu fault list shows, found throtled; did you mean throttled?
}
