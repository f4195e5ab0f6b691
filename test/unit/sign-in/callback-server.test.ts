import { request } from 'node:http'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { successPage } from '../../../src/sign-in/callback-page.js'
import { type CallbackListener, listenForCallback } from '../../../src/sign-in/callback-server.js'

interface Answer {
  status: number
  headers: Record<string, unknown>
  body: string
}

function ask(
  listener: CallbackListener,
  path: string,
  { method = 'GET', host = `127.0.0.1:${listener.port}` } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { port: listener.port, host: '127.0.0.1', path, method, headers: { host } },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text) => {
          body += text
        })
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    sent.on('error', reject).end()
  })
}

function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    const end = (reached: boolean) => {
      socket.destroy()
      resolve(reached)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}

/** An address of this machine that is no loopback one, if it has any. */
function otherAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.2'
}

describe('the callback server', () => {
  const open: CallbackListener[] = []
  const begin = async () => {
    const listener = await listenForCallback([0])
    open.push(listener)
    const received: string[] = []
    listener.expect('right', async (response) => {
      received.push(response.get('code') ?? '')
      return successPage('<dana>@acme.com', 'Claude "Desktop"')
    })
    return { listener, received }
  }
  afterEach(() => {
    for (const listener of open.splice(0)) listener.abort()
  })

  it.each([
    { what: 'a wrong state', path: '/callback?code=x&state=wrong', status: 400 },
    { what: 'no state', path: '/callback?code=x', status: 400 },
    { what: 'two states', path: '/callback?code=x&state=right&state=right', status: 400 },
    {
      what: 'an error with a wrong state',
      path: '/callback?error=access_denied&state=no',
      status: 400,
    },
    { what: 'another path', path: '/favicon.ico', status: 404 },
    { what: 'a longer path', path: '/callback/x?code=x&state=right', status: 404 },
    { what: 'another method', path: '/callback?code=x&state=right', status: 405, method: 'POST' },
    { what: 'HEAD', path: '/callback?code=x&state=right', status: 405, method: 'HEAD' },
    {
      what: 'another host',
      path: '/callback?code=x&state=right',
      status: 421,
      host: 'evil.example',
    },
    {
      what: 'another port',
      path: '/callback?code=x&state=right',
      status: 421,
      host: '127.0.0.1:1',
    },
  ])(
    '[bridge-callback-waits] answers $status to $what and keeps waiting',
    async ({ path, status, method, host }) => {
      const { listener, received } = await begin()
      const options = { ...(method && { method }), ...(host && { host }) }
      expect((await ask(listener, path, options)).status).toBe(status)
      expect(received).toEqual([])
      expect((await ask(listener, '/callback?code=good&state=right')).status).toBe(200)
      expect(received).toEqual(['good'])
    },
  )

  it('[bridge-callback-waits] takes one response only', async () => {
    const { listener, received } = await begin()
    await ask(listener, '/callback?code=one&state=right')
    expect((await ask(listener, '/callback?code=two&state=right')).status).toBe(409)
    expect(received).toEqual(['one'])
  })

  it('[bridge-callback-waits] reads localhost as itself', async () => {
    const { listener } = await begin()
    const host = `localhost:${listener.port}`
    expect((await ask(listener, '/callback?code=x&state=right', { host })).status).toBe(200)
  })

  it('[bridge-callback-page] escapes what it shows, and keeps and loads nothing', async () => {
    const { listener } = await begin()
    const { headers, body } = await ask(listener, '/callback?code=x&state=right')
    expect(body).toContain('&lt;dana&gt;@acme.com')
    expect(body).toContain('return to Claude &quot;Desktop&quot;')
    expect(body).not.toContain('<dana>')
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': expect.stringMatching(/^default-src 'none'/),
      connection: 'close',
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('[bridge-callback-page] sends the page only when the exchange is over', async () => {
    const listener = await listenForCallback([0])
    open.push(listener)
    let finish = () => {}
    const over = new Promise<void>((resolve) => {
      finish = resolve
    })
    listener.expect('right', async () => {
      await over
      return successPage(undefined, undefined)
    })
    let answered = false
    const answer = ask(listener, '/callback?code=x&state=right').then((page) => {
      answered = true
      return page
    })
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(answered).toBe(false)
    finish()
    expect((await answer).status).toBe(200)
  })

  it('[bridge-callback-page] closes while a browser holds a socket open', async () => {
    const { listener } = await begin()
    const socket = connect(listener.port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await listener.close()
    await closed
    const again = await listenForCallback([listener.port])
    open.push(again)
    expect(again.port).toBe(listener.port)
  })

  it.each([
    { host: '127.0.0.1', name: '127.0.0.1', reached: ['127.0.0.1'] },
    { host: 'localhost', name: 'localhost', reached: ['127.0.0.1', '::1'] },
    { host: '::1', name: '[::1]', reached: ['::1'] },
  ] as const)(
    '[bridge-loopback-host] listens on just what $host stands for',
    async ({ host, name, reached }) => {
      const listener = await listenForCallback([0], host)
      open.push(listener)
      const { port } = listener
      expect(listener.redirectUri).toBe(`http://${name}:${port}/callback`)
      const addresses = ['127.0.0.1', '::1', otherAddress()]
      const open_ = await Promise.all(addresses.map((address) => isOpen(address, port)))
      expect(addresses.filter((_, index) => open_[index])).toEqual(reached)
      listener.expect('right', async () => successPage(undefined, undefined))
      expect((await fetch(`${listener.redirectUri}?code=x&state=right`)).status).toBe(200)
      await listener.close()
      expect(await isOpen(reached[0], port)).toBe(false)
    },
  )

  it('[bridge-loopback-host] takes no port for localhost that somebody else has on ::1', async () => {
    const other = await listenForCallback([0], '::1')
    const free = await listenForCallback([0], 'localhost')
    await free.close()
    open.push(other)
    const listener = await listenForCallback([other.port, free.port], 'localhost')
    open.push(listener)
    expect(listener.port).toBe(free.port)
    expect(await isOpen('127.0.0.1', other.port)).toBe(false)
  })

  it('[bridge-busy-port] names the ports that are taken, and who has them as far as that is known', async () => {
    const { listener } = await begin()
    const other = await listenForCallback([0])
    open.push(other)
    const ports = [listener.port, other.port]
    await expect(listenForCallback(ports)).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `No callback port is free (tried ${listener.port}; ${other.port})`,
    })
    const holderOf = async (port: number) => {
      if (port === other.port) throw new Error('nobody knows')
      return 'process 7, thief'
    }
    await expect(listenForCallback(ports, '127.0.0.1', holderOf)).rejects.toMatchObject({
      message: `No callback port is free (tried ${listener.port}: process 7, thief; ${other.port})`,
    })
  })
})
