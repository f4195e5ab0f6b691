import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { shorten } from '../../../config/file.js'
import { ProxyError } from '../../../util/errors.js'
import type { Runtime } from '../../../util/runtime.js'

/** A configuration to start from. What is commented out shows its default or an example. */
const STARTER = `{
  "$schema": "./node_modules/mcp-descope-proxy/config-schema.json",

  "descope": {
    // Descope console → Agentic Identity Hub → MCP Servers → your server → Discovery URL.
    // Or set DESCOPE_CONFIG_URL, which is stronger than this file.
    // "configUrl": "https://api.descope.com/v1/apps/agentic/P…/MS…/.well-known/openid-configuration",

    // Scopes that every token must carry.
    "requiredScopes": []
  },

  "server": {
    "host": "127.0.0.1",
    "port": 8000,
    "path": "/mcp"
    // The URL under which clients reach this server. Or set SERVER_URL.
    // , "publicUrl": "https://mcp.example.com"
  },

  // The MCP servers behind the proxy. Their tools are called <name>_<tool>.
  "targets": {
    "example": {
      "url": "http://127.0.0.1:3000/mcp",

      // The credential for this server. Secrets: "\${VARIABLE}" or "@/path/to/file", never the secret itself.
      // "credential": { "type": "bearer", "token": "\${EXAMPLE_TOKEN}" },

      // Which tools clients get, and the scopes that calling them needs.
      "tools": { "allow": ["*"], "deny": [], "scopes": {} }
    }
  },

  // At least 32 bytes; needed as soon as there is more than one process.
  // "session": { "secret": "\${SESSION_SECRET}" },

  "log": { "level": "info", "format": "text" }
}
`

/**
 * Writes a configuration file to start from.
 *
 * @throws {ProxyError} `USAGE` when the file exists and `force` is not given, or cannot be written.
 */
export function initConfig(runtime: Runtime, file: string, { force }: { force: boolean }): void {
  const path = resolve(runtime.cwd, file)
  if (!path.endsWith('.json')) {
    throw new ProxyError('USAGE', `${file} does not end in .json`, {
      hint: 'Name a file that ends in .json; comments are allowed in it.',
    })
  }
  try {
    writeFileSync(path, STARTER, { flag: force ? 'w' : 'wx' })
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    throw new ProxyError('USAGE', `${file} ${exists ? 'exists' : 'cannot be written'}`, {
      hint: exists
        ? 'Give --force to replace it, or name another file.'
        : 'Name a file in a folder that exists and that you may write to.',
      cause,
    })
  }
  runtime.io.out(`${shorten(runtime, path)}\n`)
  runtime.io.err('Written. Edit it, then run `mcp-descope-proxy config validate`.\n')
}
