import type { Entry, Host, Server } from '../../hosts/host.js'
import { checkName, deriveName, findHost } from '../../hosts/hosts.js'
import { isTemporary, launchOf } from '../../hosts/launch.js'
import { joinPath } from '../../hosts/places.js'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { likelyEndpoint, shownUrl } from '../../util/url-text.js'
import type { AddFlags } from '../inputs.js'
import { type AddTarget, findAddTarget, findServerUrl } from './resolve-server.js'

/** What is to be added, to which host, and where. */
export interface AddPlan {
  readonly host: Host
  readonly name: string
  readonly entry: Entry
  /** The file it belongs into. */
  readonly path: string
  /** What the reader should know, one sentence each. */
  readonly notes: readonly string[]
}

/**
 * Works out what is to be added, without looking at the host's file.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
export async function planAdd(
  runtime: Runtime,
  hostName: string,
  argument: string | undefined,
  flags: AddFlags,
): Promise<AddPlan> {
  const host = findHost(hostName)
  refuseWhatHostLacks(host, flags)
  const path = pathOf(runtime, host, flags)
  const target = flags.http
    ? await findServerUrl(runtime, argument, flags)
    : await findAddTarget(runtime, argument, flags)
  const name =
    flags.name === undefined ? deriveName(host, target.title) : checkName(host, flags.name)
  const references = [...new Set([...target.references, ...flags.env])]
  const server: Server = {
    name,
    connection: flags.http
      ? { kind: 'http', url: target.argument }
      : launchOf(runtime, target.argument, { absolute: flags.absolute ?? false }),
    values: target.values,
    references,
  }
  return {
    host,
    name,
    entry: host.entry(server),
    path,
    notes: notesOn(runtime, host, target, flags),
  }
}

function refuseWhatHostLacks({ title, noHttp, noReferences }: Host, flags: AddFlags): void {
  if (flags.http && noHttp !== undefined) {
    throw new ProxyError('USAGE', noHttp.reason, { hint: noHttp.hint })
  }
  if (flags.env.length > 0 && noReferences !== undefined) {
    throw new ProxyError('USAGE', noReferences, {
      hint: `Make it a target of your configuration file, with \`@/path/to/file\` for each secret, and add that to ${title}.`,
    })
  }
}

function pathOf(runtime: Runtime, host: Host, flags: AddFlags): string {
  if (!flags.project) return host.userFile(runtime)
  if (host.projectFile !== undefined) return joinPath(runtime, runtime.cwd, ...host.projectFile)
  throw new ProxyError('USAGE', `${host.title} has no file for a project`, {
    hint: 'Leave out `--project`.',
  })
}

function notesOn(
  { program }: Runtime,
  { title, noReferences }: Host,
  { argument, references }: AddTarget,
  flags: AddFlags,
): string[] {
  const notes = notesOnUrl(argument)
  const names = [...new Set([...references, ...flags.env])]
  if (names.length > 0 && noReferences !== undefined) {
    notes.push(
      `${noReferences}. The bridge will miss ${names.join(', ')}: use \`@/path/to/file\` in your configuration file instead.`,
    )
  } else if (names.length > 0) {
    notes.push(`The bridge needs ${names.join(', ')}. Only the names are written.`)
  }
  if (flags.absolute && isTemporary(program.script)) {
    notes.push(
      `${program.script} is a copy that npx may delete. Run \`npm install --global mcp-descope-proxy\` first, and \`add\` with that.`,
    )
  }
  if (flags.absolute && flags.project) {
    notes.push(`The paths are those of this machine, and ${title} reads the file for everybody.`)
  }
  return notes
}

/** Warns of probable mistakes, before the assistant fails because of them. */
function notesOnUrl(argument: string): string[] {
  if (!URL.canParse(argument)) return []
  const url = new URL(argument)
  const notes: string[] = []
  const likely = url.pathname === '/' ? likelyEndpoint(url) : undefined
  if (likely !== undefined) {
    notes.push(
      `${shownUrl(url)} is the front page of a server, and most have their MCP endpoint elsewhere. Did you mean ${likely}? \`mcp-descope-proxy inspect\` tells.`,
    )
  }
  if (url.search !== '') {
    notes.push('The query of the URL is written as it is. Nothing secret should be in it.')
  }
  return notes
}
