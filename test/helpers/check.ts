import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { CheckReport, Report } from '../../src/diagnose/check.js'
import { reportJsonSchema } from '../../src/diagnose/reporters/report-schema.js'
import { createHome } from './bridge.js'
import { type CliOptions, type CliResult, runCli } from './cli.js'

export interface CheckRun extends CliResult {
  readonly report: Report
  /** The result of one check. */
  of(id: string): CheckReport | undefined
}

/** Runs `test-target --json` as a process of its own, with a home of its own. */
export async function check(
  url: string,
  args: readonly string[] = [],
  options: CliOptions = {},
): Promise<CheckRun> {
  const env = { MCP_DESCOPE_HOME: createHome(), ...options.env }
  const given = { timeoutMs: 30_000, ...options, env }
  const result = await runCli(['test-target', url, '--json', ...args], given)
  if (result.stdout === '') throw new Error(`There is no report; stderr:\n${result.stderr}`)
  const report = parseReport<Report>(result.stdout)
  return { ...result, report, of: (id) => report.checks.find((found) => found.id === id) }
}

const PUBLISHED = new URL('../../report-schema.json', import.meta.url)

const ajv = new Ajv2020({ validateFormats: false })

const isPublished = ajv.compile(JSON.parse(readFileSync(PUBLISHED, 'utf8')))

/** Takes no member that is not described, either. */
const isComplete = ajv.compile(reportJsonSchema('output'))

/** Reads a report that is as the JSON Schema says that ships in the package. */
export function parseReport<T>(text: string): T {
  const document: unknown = JSON.parse(text)
  for (const validate of [isPublished, isComplete]) {
    if (!validate(document)) throw new Error(`${ajv.errorsText(validate.errors)} in\n${text}`)
  }
  return document as T
}

export interface Served {
  readonly port: number
  readonly server: Server
  /** Of a path `/mcp`. */
  readonly url: string
  close(): Promise<void>
}

/** Serves with a listener of its own, over TLS when there is a certificate. */
export async function serveWith(listener: RequestListener, tls?: ServerOptions): Promise<Served> {
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    server,
    url: `http${tls === undefined ? '' : 's'}://localhost:${port}/mcp`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
