import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'
import type { Gateway } from '../../../src/gateway/gateway.js'
import { createApp } from '../../../src/serve/app.js'
import { createCaps } from '../../../src/serve/limits.js'
import { createLogger } from '../../../src/util/logger.js'
import { createTestRuntime } from '../../helpers/runtime.js'

it('a client that left before the server was ready takes no place for ever', async () => {
  const { io, clock } = createTestRuntime()
  const { config } = resolveConfig({
    server: { insecureNoAuth: true },
    targets: { a: { url: 'http://127.0.0.1:9/mcp' } },
  })
  const caps = createCaps(config.limits)
  const reached: string[] = []
  const gateway: Gateway = {
    targets: [],
    post: () => void reached.push('post'),
    listen: () => void reached.push('listen'),
    end: () => void reached.push('end'),
    close: async () => undefined,
  }
  const logger = createLogger({ io, clock, level: 'silent', format: 'json', redact: (t) => t })
  const resource = 'http://localhost:8000/mcp'
  const endpoint = { target: undefined, path: '/mcp', resource, gateway, descope: undefined }
  const app = createApp({
    ...{ config, endpoints: [endpoint], targets: [], frontUrl: 'http://localhost:8000' },
    ...{ clock, logger, caps },
  })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sent = request({ port, host: '127.0.0.1', path: '/mcp' }).end()
  sent.on('error', () => undefined)
  const [asked, response]: [IncomingMessage, ServerResponse] = (await once(
    server,
    'request',
  )) as never
  const closed = once(response, 'close')
  sent.destroy()
  await closed
  app.handle(asked, response)
  expect([caps.callers(), reached]).toEqual([0, []])
  app.stop()
  server.close()
})
