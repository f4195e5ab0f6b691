import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { startIdentity } from '../../../../src/demo/identity/index.js'
import { clock } from '../../../helpers/stack.js'

describe('a minted token', () => {
  it.each([
    ['U2bob', 'T2beta', ['Member']],
    ['bob@beta.example', 'T2beta', ['Member']],
    ['U2nobody', 'T2acme', ['Admin']],
    [undefined, 'T2acme', ['Admin']],
  ])('for %s is of the tenant %s', async (sub, tenant, roles) => {
    const identity = await startIdentity({
      clock,
      autoTenantClaim: true,
      forceAddAllAuthorizationInfo: true,
      user: { id: 'U2ann', tenants: { T2acme: { roles: ['Admin'] } } },
      users: [
        { id: 'U2bob', email: 'bob@beta.example', tenants: { T2beta: { roles: ['Member'] } } },
      ],
    })
    try {
      const claims = decodeJwt(await identity.mint(sub === undefined ? {} : { sub }))
      expect(claims).toMatchObject({ dct: tenant, tenants: { [tenant]: { roles } } })
      expect(claims.sub).toBe(sub ?? 'U2ann')
    } finally {
      await identity.close()
    }
  })
})
