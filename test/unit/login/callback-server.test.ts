import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { successPage } from '../../../src/login/callback-page.js'
import { type CallbackListener, listenForCallback } from '../../../src/login/callback-server.js'

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
    'AC13.1 answers $status to $what and keeps waiting',
    async ({ path, status, method, host }) => {
      const { listener, received } = await begin()
      const options = { ...(method && { method }), ...(host && { host }) }
      expect((await ask(listener, path, options)).status).toBe(status)
      expect(received).toEqual([])
      expect((await ask(listener, '/callback?code=good&state=right')).status).toBe(200)
      expect(received).toEqual(['good'])
    },
  )

  it('AC13.1 takes one response only', async () => {
    const { listener, received } = await begin()
    await ask(listener, '/callback?code=one&state=right')
    expect((await ask(listener, '/callback?code=two&state=right')).status).toBe(409)
    expect(received).toEqual(['one'])
  })

  it('AC13.1 reads localhost as itself', async () => {
    const { listener } = await begin()
    const host = `localhost:${listener.port}`
    expect((await ask(listener, '/callback?code=x&state=right', { host })).status).toBe(200)
  })

  it('AC13.3 escapes what it shows, and keeps and loads nothing', async () => {
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

  it('AC13.3 sends the page only when the exchange is over', async () => {
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

  it('AC13.3 closes while a browser holds a socket open', async () => {
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

  it('AC6.3 AC6.5 listens on the address that it advertises, and names the ports that are taken', async () => {
    const { listener } = await begin()
    expect(listener.redirectUri).toBe(`http://127.0.0.1:${listener.port}/callback`)
    await expect(listenForCallback([listener.port])).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(String(listener.port)),
    })
  })
})
