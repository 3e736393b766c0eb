// Stands in for Stripe's page script in tests: the calls that the watch page makes, and where they would lead.

globalThis.Stripe = (key) => ({
  elements: (options) => ({
    update: ({ setupFutureUsage }) => (options.setupFutureUsage = setupFutureUsage ?? undefined),
    submit: async () => (options.mode === "payment" && key.startsWith("pk_") ? {} : { error: { message: "no" } }),
    create: () => ({
      mount: (node) => {
        const frame = document.createElement("iframe");
        frame.src = "https://js.stripe.com/v3/frame.html";
        node.append(frame);
      },
    }),
  }),
  createPaymentMethod: async () => ({ paymentMethod: await (await fetch("https://api.stripe.com/card")).json() }),
  handleNextAction: async ({ clientSecret }) => {
    await fetch("https://api.stripe.com/challenge", { method: "POST", body: JSON.stringify({ secret: clientSecret }) });
    return {};
  },
});
