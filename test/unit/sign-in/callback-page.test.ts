import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { failurePage, renderPage, successPage } from '../../../src/sign-in/callback-page.js'
import { type CallbackListener, listenForCallback } from '../../../src/sign-in/callback-server.js'

const EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'

describe('the pages after a sign-in', () => {
  it('names the server, the person and the program to go back to', () => {
    const html = renderPage(successPage('dana@acme.com', 'Claude Desktop', 'mcp.example.com/mcp'))
    expect(html).toContain('You are signed in as dana@acme.com.')
    expect(html).toContain('return to Claude Desktop.')
    expect(html).toContain('<dt>Server</dt><dd>mcp.example.com/mcp</dd>')
    expect(html).not.toContain('<dt>Account</dt>')
  })

  it('takes an id for no name of a person', () => {
    const html = renderPage(successPage(undefined, undefined, 'mcp.example.com', 'U2abc'))
    expect(html).toContain('<p>You are signed in.</p>')
    expect(html).toContain('<dt>Account</dt><dd>U2abc</dd>')
  })

  it.each([
    { what: 'the account', page: successPage(EVIL, undefined) },
    { what: 'the program', page: successPage(undefined, EVIL) },
    { what: 'the server', page: successPage(undefined, undefined, EVIL) },
    { what: 'the id', page: successPage(undefined, undefined, undefined, EVIL) },
    { what: 'what the authorization server says', page: failurePage(EVIL, undefined) },
    { what: 'a hint', page: failurePage('No', EVIL) },
    { what: 'the server of a failure', page: failurePage('No', undefined, EVIL) },
    { what: 'the program of a failure', page: failurePage('No', undefined, undefined, EVIL) },
    { what: 'code of somebody else', page: failurePage(`\`${EVIL}\``, undefined) },
  ])('shows $what as text', ({ page }) => {
    const html = renderPage(page)
    expect(html).not.toContain('<script>alert')
    expect(html).not.toContain('<img')
    expect(html).not.toContain('"><script')
    expect(html).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(html).toContain('&amp;amp;')
  })

  it.each(['\u202e', '\u2066', '\u200f', '\u0085', '\u0000', '\u001b[31m'])(
    'lets %j in a foreign name change nothing around it',
    (mark) => {
      const name = `a${mark}b`
      const pages = [
        successPage(name, name, name, name),
        successPage(undefined, undefined, undefined, name),
        failurePage(name, undefined, name, name),
      ]
      for (const page of pages) expect(renderPage(page)).not.toContain(mark.charAt(0))
    },
  )

  it('cuts what nobody would read to its end', () => {
    const long = 'x'.repeat(100_000)
    const pages = [successPage(long, long, long), failurePage(long, undefined, long, long)]
    for (const page of pages) expect(renderPage(page).length).toBeLessThan(10_000)
  })

  it('ends what failed with a full stop, whoever said it', () => {
    expect(renderPage(failurePage('Nobody signed in', undefined))).toContain('Nobody signed in.<')
    expect(renderPage(failurePage('Really?', undefined))).toContain('Really?<')
  })
})

describe('a request that the callback server refuses', () => {
  const open: CallbackListener[] = []
  afterEach(() => {
    for (const listener of open.splice(0)) listener.abort()
  })

  const ask = (port: number, path: string, method = 'GET', host = `127.0.0.1:${port}`) =>
    new Promise<string>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, method, headers: { host } }, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text) => {
          body += text
        })
        response.on('end', () => resolve(body))
      })
        .on('error', reject)
        .end()
    })

  it.each([
    { what: 'another state', path: '/callback?code=x&state=other' },
    { what: 'no state', path: '/callback?code=x' },
    { what: 'another path', path: '/' },
    { what: 'no path', path: '//' },
    { what: 'another method', path: '/callback?code=x&state=right', method: 'POST' },
    { what: 'another host', path: '/callback?code=x&state=right', host: 'evil.example' },
    { what: 'a second answer', path: '/callback?code=x&state=right', before: true },
    { what: 'an answer that nothing can be made of', path: '/callback?code=bad&state=right' },
  ])('says what to do next after $what', async ({ path, method, host, before }) => {
    const listener = await listenForCallback([0])
    open.push(listener)
    listener.expect('right', async (response) => {
      if (response.get('code') === 'bad') throw new Error('out of order')
      return successPage(undefined, undefined)
    })
    if (before) await ask(listener.port, path)
    const body = await ask(listener.port, path, method, host)
    expect(body).toContain('<h1>Not signed in</h1>')
    expect(body).toMatch(/<p>Close this tab.*<code>mcp-descope-proxy login/)
  })
})
