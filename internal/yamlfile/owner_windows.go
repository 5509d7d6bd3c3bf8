package yamlfile

import "io/fs"

// ownedByCaller: see [CheckFound].
func ownedByCaller(fs.FileInfo) (owner int, trusted bool) { return 0, true }
