import { once } from 'node:events'
import { createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { HttpReply } from '../../../src/serve/http-reply.js'

const server = createServer()
afterEach(() => server.close())

it('is not among the open streams when its client left before it became one', async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sent = request({ port, host: '127.0.0.1' }).end()
  sent.on('error', () => undefined)
  const [, response]: [unknown, ServerResponse] = (await once(server, 'request')) as never
  const streams = new Set<HttpReply>()
  const owner = {
    headers: [],
    streams,
    expiresAt: Number.POSITIVE_INFINITY,
    isIdle: true,
    stepUpChallenge: () => '',
    challenge: () => '',
    own: (message: string) => message,
    cutOff: () => '',
    onEnd() {},
  }
  const reply = new HttpReply(response, owner)
  const closed = once(response, 'close')
  sent.destroy()
  await closed
  reply.openStream()
  expect(streams.size).toBe(0)
  expect(reply.write(': x\n\n')).toBe(true)
  reply.endStream()
})
