import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  type LoggingLevel,
  LoggingLevelSchema,
  SetLevelRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import * as z from 'zod'
import { sleep } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { text } from './tools.js'

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
