import { createProxy } from 'mcp-descope-proxy'

// All settings come from the project's environment variables. Each request ends before the
// platform would cut it (`maxDuration` in vercel.json), so that the client gets a proper error.
export default createProxy(
  { timeouts: { request: 290 } },
  { env: process.env, log: (line) => process.stderr.write(line) },
)
