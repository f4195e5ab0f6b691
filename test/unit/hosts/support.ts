import type { Merged, MergeRequest } from '../../../src/hosts/edit-error.js'
import { merge } from '../../../src/hosts/host-file.js'

export const JSON_HOST = { format: 'json', container: 'mcpServers' } as const

export const TOML_HOST = { format: 'toml', container: 'mcp_servers' } as const

export const ENTRY = { value: { command: 'npx' }, inputs: [] }

/** Puts the server `acme` into a text. */
export function mergeText(text: string, request: Partial<MergeRequest> = {}): Promise<Merged> {
  return merge(text, { host: JSON_HOST, name: 'acme', entry: ENTRY, force: false, ...request })
}
