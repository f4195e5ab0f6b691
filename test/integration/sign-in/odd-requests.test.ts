import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { startTarget } from '../../../src/demo/target/target.js'
import { listenForCallback } from '../../../src/sign-in/callback-server.js'
import { clock, startStack } from '../../helpers/stack.js'

const TARGETS = [
  '//',
  '///',
  '//[',
  'http://[',
  'http://',
  'https://evil.example:99999/callback',
  '*',
  '/\\',
  '/%',
  '/%00',
  '/callback?%',
  '/callback?state=%ff',
  '/callback//..//',
  '?',
  '#',
  `/${'a'.repeat(12_000)}`,
]

const METHODS = ['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'CONNECT', 'TRACE']

/** Writes a request as it is; resolves with the status, or 0 where the connection just ended. */
function ask(port: number, method: string, target: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)))
    socket.write(
      `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`,
    )
  })
}

describe('a request that no browser sends', () => {
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  const servers: Record<string, () => Promise<number>> = {
    'the callback of a sign-in': async () => {
      const listener = await listenForCallback([0])
      listener.expect('state', async () => ({ status: 200, title: 'x', lines: [] }))
      closing.push(() => listener.abort())
      return listener.port
    },
    serve: async () => {
      const stack = await startStack({ targets: { main: 'http://127.0.0.1:9/mcp' } })
      closing.push(() => stack.close())
      return Number(new URL(stack.origin).port)
    },
    'demo identity': async () => {
      const identity = await startIdentity({ clock })
      closing.push(() => identity.close())
      return Number(new URL(identity.url).port)
    },
    'demo target': async () => {
      const target = await startTarget({ clock, port: 0 })
      closing.push(() => target.close())
      return Number(new URL(target.url).port)
    },
  }

  it.each(Object.keys(servers))('is refused by %s, which goes on', async (name) => {
    const port = await (servers[name] as () => Promise<number>)()
    for (const method of METHODS) {
      for (const target of TARGETS) {
        const status = await ask(port, method, target)
        expect(status < 500, `${method} ${target.slice(0, 40)} → ${status}`).toBe(true)
      }
    }
    expect(await ask(port, 'GET', '/nowhere')).toBeGreaterThanOrEqual(400)
  })
})
