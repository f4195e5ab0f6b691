import type { JsonObject } from '../util/json.js'
import type { Entry, Input, Server } from './host.js'

/** How a host spells a server in JSON. */
interface Spelling {
  /** Members that stand before the command. */
  before?: JsonObject
  /** How a variable is filled in. */
  reference?: (variable: string) => string
  /** How a URL is given; hosts without it are never asked. */
  http?: (url: string) => JsonObject
}

/** Spells a server the way most hosts do: `command`, `args`, `env`. */
export function entryWith({ before = {}, reference, http }: Spelling): (server: Server) => Entry {
  return ({ connection, values, references }) => {
    if (connection.kind === 'http') {
      return { value: http?.(connection.url) ?? { url: connection.url }, inputs: [] }
    }
    const { command, args } = connection
    const filled = reference === undefined ? [] : references.map((name) => [name, reference(name)])
    const env = { ...values, ...Object.fromEntries(filled) }
    return { value: { ...before, command, args: [...args], ...orNothing({ env }) }, inputs: [] }
  }
}

/** Spells a server for VS Code, which asks its user for secrets once and keeps them encrypted. */
export function vscodeEntry(server: Server): Entry {
  const inputs = server.references.map((variable): Input => {
    const id = `${server.name}-${variable}`.toLowerCase().replace(/[^a-z0-9]+/g, '-')
    return {
      type: 'promptString',
      id,
      description: `${variable} for ${server.name}`,
      password: true,
    }
  })
  const idOf = new Map(server.references.map((variable, index) => [variable, inputs[index]?.id]))
  const spell = entryWith({
    before: { type: 'stdio' },
    reference: (variable) => `\${input:${idOf.get(variable)}}`,
    http: (url) => ({ type: 'http', url }),
  })
  return { ...spell(server), inputs: server.connection.kind === 'http' ? [] : inputs }
}

/** Spells a server for Codex, which hands on the variables that it is told the names of. */
export function codexEntry({ connection, values, references }: Server): Entry {
  if (connection.kind === 'http') return { value: { url: connection.url }, inputs: [] }
  const { command, args } = connection
  const more = { env: values, env_vars: [...references] }
  return { value: { command, args: [...args], ...orNothing(more) }, inputs: [] }
}

/** Leaves out members that hold nothing. */
function orNothing(members: Readonly<Record<string, object>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => Object.keys(value).length > 0),
  )
}
