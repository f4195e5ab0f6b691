import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  type CallToolResult,
  type LoggingLevel,
  LoggingLevelSchema,
  SetLevelRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import * as z from 'zod'
import { sleep } from '../../util/async.js'
import { ownMember } from '../../util/json.js'
import { isSecretName } from '../../util/redact.js'
import type { Clock } from '../../util/runtime.js'
import { CONDITIONS, describeWeather, weatherIn } from './weather.js'

const READ_ONLY = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
}

/** Registers the tools that answer at once. */
export function registerTools(server: McpServer, called: (tool: string) => void): void {
  registerWhoami(server, called)
  server.registerTool(
    'get_secret',
    {
      title: 'Get the secret',
      description: 'Returns a sentence that only signed-in callers can read. Takes no arguments.',
      annotations: { title: 'Get the secret', ...READ_ONLY },
    },
    () => {
      called('get_secret')
      return text('The treasure lies under the third oak behind the mill.')
    },
  )
  server.registerTool(
    'echo',
    {
      title: 'Echo',
      description: 'Returns the given text unchanged. Useful to check that calls arrive intact.',
      inputSchema: { text: z.string().max(100_000).describe('The text to return.') },
      annotations: { title: 'Echo', ...READ_ONLY },
    },
    ({ text: words }) => {
      called('echo')
      return text(words)
    },
  )
  server.registerTool(
    'get_weather',
    {
      title: 'Get the weather',
      description:
        'Returns the weather in a city. The data is made up, but the same for a city every time.',
      inputSchema: {
        city: z.string().trim().min(1).max(100).describe('Name of the city, for example "Lisbon".'),
      },
      outputSchema: {
        city: z.string().describe('The city, as it is usually written.'),
        conditions: z.enum(CONDITIONS).describe('The sky in a word.'),
        temperatureC: z.number().describe('Degrees Celsius.'),
        humidityPercent: z.number().min(0).max(100).describe('Relative humidity in percent.'),
        windKmh: z.number().min(0).describe('Wind in kilometres per hour.'),
      },
      annotations: { title: 'Get the weather', ...READ_ONLY },
    },
    ({ city }) => {
      called('get_weather')
      const weather = weatherIn(city)
      return { ...text(describeWeather(weather)), structuredContent: { ...weather } }
    },
  )
}

function registerWhoami(server: McpServer, called: (tool: string) => void): void {
  server.registerTool(
    'whoami',
    {
      title: 'Who am I?',
      description:
        'Returns what this server sees of its caller: the client, which credential came with the request ' +
        '(never its value) and the names of the request headers.',
      outputSchema: {
        client: z.string().describe('Name and version that the client gave.'),
        credentials: z
          .array(
            z.object({
              header: z.string(),
              scheme: z.string().optional(),
              format: z.enum(['jwt', 'opaque']),
            }),
          )
          .describe('Headers that carry a credential, without their values.'),
        headerNames: z.array(z.string()).describe('Names of all request headers.'),
      },
      annotations: { title: 'Who am I?', ...READ_ONLY },
    },
    ({ requestInfo }) => {
      called('whoami')
      const headers = requestInfo?.headers ?? {}
      const client = server.server.getClientVersion()
      const seen = {
        client: client === undefined ? 'unknown' : `${client.name} ${client.version}`,
        credentials: seenCredentials(headers),
        headerNames: headerNames(headers),
      }
      return { ...text(JSON.stringify(seen, undefined, 2)), structuredContent: seen }
    },
  )
}

/** Makes a result with one text block. */
export function text(words: string): CallToolResult {
  return { content: [{ type: 'text', text: words }] }
}

/** Facts about a credential that do not reveal it. */
export interface SeenCredential {
  header: string
  /** Of an `Authorization` header: `bearer`, `basic` and so on. */
  scheme?: string
  format: 'jwt' | 'opaque'
}

type SeenHeaders = Readonly<Record<string, string | string[] | undefined>>

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** Lists the credentials among the headers of a request. Their values stay out of the result. */
export function seenCredentials(headers: SeenHeaders): SeenCredential[] {
  return headerNames(headers)
    .filter(isSecretName)
    .map((header) => {
      const value = [ownMember(headers, header)].flat().join(', ')
      const [, scheme, rest] = /^([A-Za-z-]+) +(?! )(.*)$/.exec(value) ?? []
      const format = JWT.test(rest ?? value) ? 'jwt' : 'opaque'
      if (header !== 'authorization' || scheme === undefined) return { header, format }
      return { header, scheme: scheme.toLowerCase(), format }
    })
}

/** Returns the names of the headers that were sent, sorted. */
export function headerNames(headers: SeenHeaders): string[] {
  return Object.keys(headers)
    .filter((name) => ownMember(headers, name) !== undefined)
    .map((name) => name.toLowerCase())
    .sort()
}

/** Registers the tools that notify while they run or change what the server offers. */
export function registerLiveTools(
  server: McpServer,
  clock: Clock,
  called: (tool: string) => void,
): void {
  registerCountdown(server, clock, called)
  const bonus = server.registerTool(
    'bonus',
    {
      title: 'Bonus',
      description: 'Exists only after `toggle_bonus` was called. Returns a word of praise.',
      annotations: { title: 'Bonus', readOnlyHint: true, openWorldHint: false },
    },
    () => text('Well found.'),
  )
  bonus.disable()
  server.registerTool(
    'toggle_bonus',
    {
      title: 'Show or hide the bonus tool',
      description:
        'Adds the tool `bonus` to this session, or removes it again. The server announces the changed list.',
      annotations: {
        title: 'Show or hide the bonus tool',
        readOnlyHint: false,
        destructiveHint: false,
        idempotentHint: false,
        openWorldHint: false,
      },
    },
    () => {
      called('toggle_bonus')
      if (bonus.enabled) bonus.disable()
      else bonus.enable()
      return text(`The tool "bonus" is now ${bonus.enabled ? 'there' : 'gone'}.`)
    },
  )
}

function registerCountdown(server: McpServer, clock: Clock, called: (tool: string) => void): void {
  const isLogged = trackLogLevel(server)
  server.registerTool(
    'countdown',
    {
      title: 'Count down',
      description:
        'Counts down to zero, with a progress and a log notification at each step. It can be cancelled.',
      inputSchema: {
        from: z.number().int().min(1).max(60).default(3).describe('Number of steps.'),
        stepMs: z
          .number()
          .int()
          .min(0)
          .max(10_000)
          .default(500)
          .describe('Milliseconds between two steps.'),
      },
      annotations: {
        title: 'Count down',
        readOnlyHint: true,
        destructiveHint: false,
        idempotentHint: true,
        openWorldHint: false,
      },
    },
    async ({ from, stepMs }, { signal, sendNotification, _meta }) => {
      called('countdown')
      for (let done = 1; done <= from; done += 1) {
        await sleep(clock, stepMs, signal)
        if (signal.aborted) return text(`Cancelled with ${from - done + 1} to go.`)
        const message = done === from ? 'Lift-off' : `${from - done} to go`
        if (_meta?.progressToken !== undefined) {
          const progress = { progressToken: _meta.progressToken, progress: done, total: from }
          const params = { ...progress, message }
          await sendNotification({ method: 'notifications/progress', params })
        }
        if (isLogged('info')) {
          const params = { level: 'info' as const, logger: 'countdown', data: message }
          await sendNotification({ method: 'notifications/message', params })
        }
      }
      return text('Lift-off!')
    },
  )
}

/** Follows `logging/setLevel`; tells whether a message of a level is wanted. */
function trackLogLevel(server: McpServer): (level: LoggingLevel) => boolean {
  const order = LoggingLevelSchema.options
  let threshold: LoggingLevel = 'debug'
  server.server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    threshold = params.level
    return {}
  })
  return (level) => order.indexOf(level) >= order.indexOf(threshold)
}
