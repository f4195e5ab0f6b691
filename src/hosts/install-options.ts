import type { JsonObject } from '../util/json.js'
import type { Runtime } from '../util/runtime.js'
import type { Entry, Host } from './host.js'
import { shellLine } from './launch.js'
import { tomlTable } from './toml-sections.js'

/** Everything by which a server can be added to a host. */
export interface InstallOptions {
  /** What to put into the file. */
  readonly snippet: string
  /** The same as an object; `undefined` for TOML. */
  readonly document: JsonObject | undefined
  /** A command of the host that does the same. */
  readonly command: string | undefined
  /** A link that does the same when it is opened. */
  readonly link: string | undefined
}

/** Returns everything by which a server can be added to a host. */
export function installOptionsOf(
  where: Pick<Runtime, 'platform'>,
  host: Pick<Host, 'id' | 'format' | 'container'>,
  name: string,
  entry: Entry,
  { project }: { project: boolean },
): InstallOptions {
  const { value, inputs } = entry
  const document = {
    ...(inputs.length > 0 && { inputs }),
    [host.container]: { [name]: value },
  }
  const isToml = host.format === 'toml'
  return {
    snippet: isToml
      ? tomlTable([host.container, name], value)
      : `${JSON.stringify(document, undefined, 2)}\n`,
    document: isToml ? undefined : document,
    command: commandOf(where, host.id, name, entry, project),
    // a link always adds to the user's own file
    link: project ? undefined : linkOf(host.id, name, entry),
  }
}

function commandOf(
  where: Pick<Runtime, 'platform'>,
  id: Host['id'],
  name: string,
  { value, inputs }: Entry,
  project: boolean,
): string | undefined {
  if (id === 'claude-code') {
    // options come before the name, as those after it may be ignored
    const scope = ['--scope', project ? 'project' : 'user']
    const { type, url } = value
    if (type === 'http' && typeof url === 'string') {
      return shellLine(where, ['claude', 'mcp', 'add', '--transport', type, ...scope, name, url])
    }
    return shellLine(where, ['claude', 'mcp', 'add-json', ...scope, name, JSON.stringify(value)])
  }
  if (id === 'vscode' && !project) {
    return shellLine(where, ['code', '--add-mcp', vscodeDefinition(name, { value, inputs })])
  }
  return undefined
}

function linkOf(id: Host['id'], name: string, entry: Entry): string | undefined {
  if (id === 'vscode') {
    return `vscode:mcp/install?${encodeURIComponent(vscodeDefinition(name, entry))}`
  }
  if (id !== 'cursor') return undefined
  const config = Buffer.from(JSON.stringify(entry.value)).toString('base64')
  const query = `name=${encodeURIComponent(name)}&config=${encodeURIComponent(config)}`
  return `cursor://anysphere.cursor-deeplink/mcp/install?${query}`
}

function vscodeDefinition(name: string, { value, inputs }: Entry): string {
  return JSON.stringify({ name, ...value, ...(inputs.length > 0 && { inputs }) })
}
