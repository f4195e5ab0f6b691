import { completable } from '@modelcontextprotocol/sdk/server/completable.js'
import { type McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import * as z from 'zod'
import { CITIES, citiesLike, describeWeather, weatherIn } from './weather.js'

const ABOUT = `# Example target

A small MCP server to try things with. It has tools, prompts, resources, a resource template with
completion, a resource that can be subscribed, progress and log notifications.
`

const JOURNAL_URI = 'demo://journal'

export interface Journal {
  /** Records the call of a tool and notifies subscribers. */
  write(tool: string): void
}

/** Registers the resources, their template, subscriptions and the prompts. */
export function registerResources(server: McpServer): Journal {
  server.registerResource(
    'about',
    'demo://about',
    {
      title: 'About this server',
      description: 'What this example server is for.',
      mimeType: 'text/markdown',
    },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/markdown', text: ABOUT }] }),
  )
  server.registerResource(
    'weather',
    new ResourceTemplate('weather://cities/{city}', {
      list: () => ({ resources: CITIES.map(weatherResource) }),
      complete: { city: citiesLike },
    }),
    {
      title: 'Weather of a city',
      description: 'The same as the tool get_weather tells, as JSON.',
      mimeType: 'application/json',
    },
    (uri, { city }) => {
      const weather = weatherIn(decodeURIComponent(String(city)))
      const body = JSON.stringify(weather, undefined, 2)
      return { contents: [{ uri: uri.href, mimeType: 'application/json', text: body }] }
    },
  )
  registerPrompts(server)
  return registerJournal(server)
}

function weatherResource(city: string) {
  return {
    uri: `weather://cities/${encodeURIComponent(city)}`,
    name: `weather-${city}`,
    title: `Weather in ${city}`,
    mimeType: 'application/json',
  }
}

function registerJournal(server: McpServer): Journal {
  const lines: string[] = []
  let subscribed = false
  server.registerResource(
    'journal',
    JOURNAL_URI,
    {
      title: 'Journal of this session',
      description: 'The tools that were called in this session. Can be subscribed.',
      mimeType: 'text/plain',
    },
    (uri) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: lines.join('\n') }],
    }),
  )
  server.server.registerCapabilities({ resources: { subscribe: true } })
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed ||= params.uri === JOURNAL_URI
    return {}
  })
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed &&= params.uri !== JOURNAL_URI
    return {}
  })
  return {
    write(tool) {
      lines.push(`${lines.length + 1}. ${tool}`)
      if (lines.length > 1_000) lines.shift()
      if (!subscribed) return
      void server.server.sendResourceUpdated({ uri: JOURNAL_URI }).catch(() => {})
    },
  }
}

function registerPrompts(server: McpServer): void {
  server.registerPrompt(
    'tour',
    { title: 'Take the tour', description: 'Asks the assistant to try what this server can do.' },
    () =>
      userMessage(
        'Call whoami and tell me which credential the server saw. Then read me the secret, and count ' +
          'down from three.',
      ),
  )
  server.registerPrompt(
    'packing_list',
    {
      title: 'Packing list',
      description: 'Asks what to pack for a trip, given the weather there.',
      argsSchema: {
        city: completable(z.string().describe('Where the trip goes.'), citiesLike),
      },
    },
    ({ city }) =>
      userMessage(
        `${describeWeather(weatherIn(city))} What should I pack for three days in ${city}?`,
      ),
  )
}

function userMessage(words: string) {
  return { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: words } }] }
}
