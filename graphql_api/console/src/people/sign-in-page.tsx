// The page of somebody who is not signed in where a credential is needed.
import { SignInForm } from "./sign-in-form.tsx";

/** @param failure why the last attempt to sign in failed. */
export const SignInPage = ({ failure, logo }: { failure: string | undefined; logo: string }) => (
  <main id="main" tabIndex={-1} className="center">
    <section className="card signin" aria-labelledby="sign-in">
      <div className="stack">
        <img width="40" height="40" src={logo} alt="" />
        <div>
          <h1 id="sign-in">Sign in to dask-graphql</h1>
          <p className="muted">{location.host}</p>
        </div>
      </div>
      <SignInForm failure={failure} />
    </section>
  </main>
);
